"""KEDA's external scaler interface: its protobuf messages and its gRPC methods, as `externalscaler.proto` has them.

The descriptor is built here, not generated: generated code runs on the major version of protobuf that it was made for and the next one, this on any.
It has a pool of its own, so that code generated from KEDA's own file may live in the same process.
"""

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "externalscaler"
SERVICE = f"{PACKAGE}.ExternalScaler"
_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {"string": _Field.TYPE_STRING, "bool": _Field.TYPE_BOOL, "int64": _Field.TYPE_INT64, "double": _Field.TYPE_DOUBLE}

# Per message its fields in the order of their numbers, which begin at 1.
_MESSAGES = {
    "ScaledObjectRef": {"name": "string", "namespace": "string", "scalerMetadata": "map"},
    "IsActiveResponse": {"result": "bool"},
    "GetMetricSpecResponse": {"metricSpecs": "repeated MetricSpec"},
    "MetricSpec": {"metricName": "string", "targetSize": "int64", "targetSizeFloat": "double"},
    "GetMetricsRequest": {"scaledObjectRef": "ScaledObjectRef", "metricName": "string"},
    "GetMetricsResponse": {"metricValues": "repeated MetricValue"},
    "MetricValue": {"metricName": "string", "metricValue": "int64", "metricValueFloat": "double"},
}
# Per method what it takes, what it gives, and whether it gives a stream of it.
METHODS = {
    "IsActive": ("ScaledObjectRef", "IsActiveResponse", False),
    "StreamIsActive": ("ScaledObjectRef", "IsActiveResponse", True),
    "GetMetricSpec": ("ScaledObjectRef", "GetMetricSpecResponse", False),
    "GetMetrics": ("GetMetricsRequest", "GetMetricsResponse", False),
}


def file_descriptor() -> descriptor_pb2.FileDescriptorProto:
    """What a compiler makes of `externalscaler.proto`."""
    file = descriptor_pb2.FileDescriptorProto(name="externalscaler.proto", package=PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, (field, kind) in enumerate(fields.items(), 1):
            _add_field(message, number, field, kind)
    service = file.service.add(name="ExternalScaler")
    for method, (taken, given, is_stream) in METHODS.items():
        described = service.method.add(name=method, input_type=f".{PACKAGE}.{taken}", output_type=f".{PACKAGE}.{given}")
        if is_stream:
            described.server_streaming = True
    return file


def _add_field(message: descriptor_pb2.DescriptorProto, number: int, name: str, kind: str) -> None:
    label = _Field.LABEL_REPEATED if kind == "map" or kind.startswith("repeated ") else _Field.LABEL_OPTIONAL
    kind = kind.removeprefix("repeated ")
    if kind in _SCALARS:
        message.field.add(name=name, number=number, label=label, type=_SCALARS[kind])
        return
    if kind == "map":  # on the wire a map is a list of entries of a nested type
        entry = message.nested_type.add(name=f"{name[0].upper()}{name[1:]}Entry", options=descriptor_pb2.MessageOptions(map_entry=True))
        _add_field(entry, 1, "key", "string")
        _add_field(entry, 2, "value", "string")
        kind = f"{message.name}.{entry.name}"
    message.field.add(name=name, number=number, label=label, type=_Field.TYPE_MESSAGE, type_name=f".{PACKAGE}.{kind}")


_pool = descriptor_pool.DescriptorPool()
_pool.Add(file_descriptor())
MESSAGES = {name: message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"{PACKAGE}.{name}")) for name in _MESSAGES}

ScaledObjectRef = MESSAGES["ScaledObjectRef"]
IsActiveResponse = MESSAGES["IsActiveResponse"]
GetMetricSpecResponse = MESSAGES["GetMetricSpecResponse"]
MetricSpec = MESSAGES["MetricSpec"]
GetMetricsRequest = MESSAGES["GetMetricsRequest"]
GetMetricsResponse = MESSAGES["GetMetricsResponse"]
MetricValue = MESSAGES["MetricValue"]

__all__ = [
    "MESSAGES",
    "METHODS",
    "SERVICE",
    "GetMetricSpecResponse",
    "GetMetricsRequest",
    "GetMetricsResponse",
    "IsActiveResponse",
    "MetricSpec",
    "MetricValue",
    "ScaledObjectRef",
    "file_descriptor",
]

"""The category of a prompt: which list's keywords occur most, found in one pass by an Aho-Corasick automaton."""

from collections.abc import Iterable, Mapping

import ahocorasick

KEYWORDS: dict[str, tuple[str, ...]] = {
    "code": ("def ", "function", "python", "javascript", "class ", "import ", "sql", "```", "algorithm", "compile", "bug", "code"),
    "math": ("solve", "equation", "how many", "calculate", "prove", "integral", "probability", "theorem", "percent", "sum of"),
    "translation": ("translate", "translation", "in french", "in german", "in spanish", "in english"),
    "summary": ("summarise", "summarize", "summary", "tl;dr", "key points", "shorten"),
    "extraction": ("extract", "json", "parse", "list all", "table of", "fields"),
    "choice": ("(a)", "(b)", "answer with the", "which of the following", "choices:", "options:"),
    "writing": ("write a story", "poem", "essay", "email", "letter", "rewrite", "blog"),
}


class Categories:
    """Keyword lists, matched in lower case anywhere in the text; the list with most occurrences wins, the first of equals."""

    def __init__(self, keywords: Mapping[str, Iterable[str]]) -> None:
        self._names = list(keywords)
        self._automaton = ahocorasick.Automaton()
        owners: dict[str, list[int]] = {}
        for place, words in enumerate(keywords.values()):
            for word in words:
                owners.setdefault(word.lower(), []).append(place)
        for word, places in owners.items():
            self._automaton.add_word(word, places)
        if owners:
            self._automaton.make_automaton()
        self._is_empty = not owners

    def find(self, text: bytes) -> str | None:
        """The category of a text in UTF-8 and lower case; None where no keyword occurs.

        >>> Categories({"code": ["python"], "mail": ["inbox"]}).find(b"a python in my inbox, a python")
        'code'
        """
        if self._is_empty:
            return None
        counts = [0] * len(self._names)
        for _, places in self._automaton.iter(text.decode("utf-8", "replace")):
            for place in places:
                counts[place] += 1
        most = max(counts)
        return self._names[counts.index(most)] if most else None


DEFAULT = Categories(KEYWORDS)

"""What functions that need a corpus are given, as a corpus."""

from routingsim.corpora.corpus import Corpus, CorpusLike


def as_corpus(source: CorpusLike) -> Corpus:
    """A corpus as it is, or what :func:`routingsim.load_corpus` makes of anything else.

    Raises
    ------
    CorpusError
        As :func:`routingsim.load_corpus` raises it.
    """
    if isinstance(source, Corpus):
        return source
    from routingsim.corpora.datasets import load_corpus  # its readers take long to import

    return load_corpus(source)

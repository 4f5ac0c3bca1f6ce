"""Retrievers: which worked examples come before a question."""


class BaseRetriever:
    """Says which rows are examples."""


class ZeroRetriever(BaseRetriever):
    """None."""


class FixKRetriever(BaseRetriever):
    """Those with the numbers in `fix_id_list`, for every question."""

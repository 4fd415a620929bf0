"""Errors of the lower rooms that a person may have to read: English as raised, in other languages by their key."""

from __future__ import annotations


class ToldError(ValueError):
    """Something that the user can mend. This room knows no languages: who speaks to people says it by ``key``.

    Attributes
    ----------
    key : str
        Of its text in ``pocket/presentation/i18n``; the English one is the message.
    values : dict
        For the placeholders of the text.
    """

    def __init__(self, message: str, key: str, **values: object) -> None:
        super().__init__(message)
        self.key, self.values = key, values

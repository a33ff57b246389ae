"""What goes in, what stands between, and what comes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, Field, model_validator

Short = Annotated[str, Field(max_length=120)]


class Mail(BaseModel):
    sender: str
    text: str
    internal: bool = False
    """For colleagues only: what it says may be used, and its words must not be quoted."""


class Thread(BaseModel):
    subject: Annotated[str, Field(pattern=r"^[^\r\n]*$")]
    """One line: it is the head of a mail."""
    me: str
    mails: list[Mail] = Field(min_length=1)
    voice: list[str] = []
    """Earlier mails of mine, to write like me."""

    @property
    def to(self) -> str:
        """Whoever has written last from outside."""
        return next((mail.sender for mail in reversed(self.mails) if not mail.internal and mail.sender != self.me), self.me)


class Facts(BaseModel):
    facts: list[Short] = Field(max_length=5)
    promised: list[Short] = Field(max_length=3)


class Asked(BaseModel):
    question: Short


class Draft(BaseModel):
    text: str = Field(max_length=1200)


class Tone(BaseModel):
    advice: Short
    points: int = Field(ge=1, le=5)


@dataclass(frozen=True)
class Checked:
    text: str
    points: int
    """For the tone."""
    wrong: tuple[str, ...]
    """Rules that are broken."""
    advice: str

    @property
    def rank(self) -> tuple[int, int]:
        """The best draft breaks the fewest rules; of those the one with the better tone."""
        return -len(self.wrong), self.points


@dataclass(frozen=True)
class Attempt:
    thread: Thread
    facts: Facts
    asked: Asked
    last: Checked | None = None
    best: Checked | None = None


class Decision(BaseModel):
    verdict: Literal["send", "edit", "reject"]
    text: str = Field(default="", max_length=5000)
    """The mail as it shall be, or why it is rejected."""

    @model_validator(mode="after")
    def _says_what_is_meant(self) -> Decision:
        """`send, but not before Monday` is no approval of the mail as it is."""
        if self.verdict == "edit" and not self.text.strip():
            raise ValueError("an edit needs the text of the mail")
        if self.verdict == "send" and self.text.strip():
            raise ValueError("send takes no text, the mail goes out as it is: to change it, edit and the whole mail")
        return self


@dataclass(frozen=True)
class Outgoing:
    """A mail that a person has approved. Nothing else can be sent."""

    sender: str
    to: str
    subject: str
    text: str


@dataclass(frozen=True)
class Rejected:
    why: str


@dataclass(frozen=True)
class Sent:
    file: str


Outcome: TypeAlias = Sent | Rejected

"""Where mail goes out: a folder of .eml files, which a mail server would pick up."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from email.message import EmailMessage
from hashlib import blake2b
from pathlib import Path
from tempfile import NamedTemporaryFile

from examples.email.shapes import Outgoing


@dataclass(frozen=True)
class Outbox:
    folder: Path

    def put(self, mail: Outgoing, key: str) -> str:
        """Send `mail` once for each key, however often it is called. Gives the name of the file."""
        name = f"{blake2b(key.encode(), digest_size=8).hexdigest()}.eml"
        self.folder.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=self.folder) as file:
            file.write(bytes(as_message(mail)))
            file.flush()
            os.fsync(file.fileno())  # before the run's record says so
            with suppress(FileExistsError):  # it was sent, and whoever sent it died before that was recorded
                os.link(file.name, self.folder / name)  # whole or not at all
        return name


def as_message(mail: Outgoing) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = mail.sender, mail.to, f"Re: {mail.subject}"
    message.set_content(mail.text)
    return message

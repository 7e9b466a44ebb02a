"""A mail server on 127.0.0.1 that writes each mail into a folder, as it came.

Arguments: port, folder. It refuses the address refused@example.test for good and later@example.test for now.
"""

import asyncio
import itertools
import os
import sys

from aiosmtpd.controller import Controller


class Folder:
    def __init__(self, path):
        self.path = path
        self.numbers = itertools.count(1)

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address == "refused@example.test":
            return "550 5.1.1 no such mailbox"
        if address == "later@example.test":
            return "451 4.7.1 come back later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        name = os.path.join(self.path, f"{next(self.numbers):06}.eml")
        head = f"X-To: {','.join(envelope.rcpt_tos)}\r\n".encode()
        with open(name + ".part", "wb") as file:
            file.write(head + envelope.original_content)
        os.rename(name + ".part", name)
        return "250 kept"


port, folder = int(sys.argv[1]), sys.argv[2]
Controller(Folder(folder), hostname="127.0.0.1", port=port).start()
print("ready", flush=True)
asyncio.new_event_loop().run_forever()

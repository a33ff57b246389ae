# mypy: ignore-errors
# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false
# pyright: reportTypedDictNotRequiredAccess=false, reportCallIssue=false, reportArgumentType=false
"""Frameworks whose unit is an agent: a fake model in each step; what is around it is written with plain awaits and `gather`."""

import asyncio


class Agents:
    """`ask(text)` runs an agent once: its model counts one up."""

    async def ask(self, text):
        raise NotImplementedError

    async def chain(self, steps):
        async def once():
            value = 0
            for _ in range(steps):
                value = int(await self.ask(str(value)))
            return value

        return once

    loop = chain

    async def fan(self, steps):
        async def once():
            return sum(map(int, await asyncio.gather(*(self.ask(str(index - 1)) for index in range(steps)))))

        return once

    async def layers(self, depth, width):
        async def once():
            row = [0]
            for _ in range(depth):
                row = [int(one) for one in await asyncio.gather(*(self.ask(str(max(row))) for _ in range(width)))]
            return max(row)

        return once

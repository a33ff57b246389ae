"""Shorthands for asking the scripted server through the real SDK."""

from __future__ import annotations

from openai import AsyncOpenAI
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionMessageParam

MODEL = "gpt-4o-mini"


def says(text: str) -> list[ChatCompletionMessageParam]:
    return [{"role": "user", "content": text}]


async def ask(client: AsyncOpenAI, text: str = "hi") -> ChatCompletion:
    return await client.chat.completions.create(model=MODEL, messages=says(text))


async def text_of(client: AsyncOpenAI, text: str = "hi") -> str | None:
    return (await ask(client, text)).choices[0].message.content


async def chunks_of(client: AsyncOpenAI, text: str = "hi") -> list[ChatCompletionChunk]:
    stream = await client.chat.completions.create(
        model=MODEL, messages=says(text), stream=True, stream_options={"include_usage": True}
    )
    async with stream:
        return [chunk async for chunk in stream]


def streamed_text(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)

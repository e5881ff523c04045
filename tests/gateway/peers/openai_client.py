"""Stories of the official SDK for Python, set up by its environment variables alone.

    openai_client.py STORY [JSON of arguments]

Prints what the story saw as a line of JSON. Each wait of the SDK is printed as well, and
lasts until a line comes in: nothing here waits for a clock. openai_client.mjs tells the same.
"""

import asyncio
import json
import sys
import time

import openai
from openai import AsyncAzureOpenAI, OpenAI

MODEL = "gpt-4o-mini"
MESSAGES = [{"role": "user", "content": "Hello"}]
TOOLS = [
    {
        "type": "function",
        "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}},
    }
]


def chat(client):
    done = client.chat.completions.create(model=MODEL, messages=MESSAGES)
    return [done.choices[0].message.content, done.usage.total_tokens, done.model]


def stream(client):
    chunks = client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
    # As much client code does: without a look at whether there is a first choice.
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


def stream_with_usage(client):
    chunks = list(
        client.chat.completions.create(
            model=MODEL, messages=MESSAGES, stream=True, stream_options={"include_usage": True}
        )
    )
    last = chunks[-1]
    return [len(chunks), len(last.choices), last.usage.prompt_tokens, last.usage.completion_tokens]


def tools(client):
    done = client.chat.completions.create(model=MODEL, messages=MESSAGES, tools=TOOLS)
    call = done.choices[0].message.tool_calls[0].function
    return [call.name, json.loads(call.arguments)]


def streamed_tools(client):
    name, arguments = "", ""
    for chunk in client.chat.completions.create(
        model=MODEL, messages=MESSAGES, tools=TOOLS, stream=True
    ):
        for call in chunk.choices[0].delta.tool_calls or ():
            name += call.function.name or ""
            arguments += call.function.arguments or ""
    return [name, json.loads(arguments)]


def responses(client):
    done = client.responses.create(model="gpt-5-mini", input="Hello")
    return [done.output_text, done.status, done.usage.output_tokens]


def streamed_responses(client):
    events = list(client.responses.create(model="gpt-5-mini", input="Hello", stream=True))
    return [[event.type for event in events], events[-1].response.usage.input_tokens]


def embeddings(client):
    done = client.embeddings.create(model="text-embedding-3-small", input=["Hello"])
    return [done.data[0].embedding, done.usage.prompt_tokens]


def models(client):
    listed = [model.id for model in client.models.list()]
    return [listed, client.models.retrieve(MODEL).id]


def files(client):
    made = client.files.create(file=("notes.txt", b"Grow \xf0\x9f\x8c\xb1"), purpose="user_data")
    listed = [each.id for each in client.files.list()]
    content = client.files.content(made.id).read().decode()
    return [made.id, listed, content, client.files.delete(made.id).deleted]


def transcription(client):
    recording = ("speech.mp3", b"ID3" * 1000)
    return client.audio.transcriptions.create(model="whisper-1", file=recording).text


def speech(client):
    return list(client.audio.speech.create(model="tts-1", voice="alloy", input="Hi").read())


def images(client):
    done = client.images.generate(model="gpt-image-1", prompt="a cat")
    return [done.data[0].b64_json, done.usage.output_tokens]


def moderations(client):
    done = client.moderations.create(input="Hello", model="omni-moderation-latest")
    return done.results[0].flagged


def call(client, *, model=MODEL, is_stream=False, content="Hello", path="chat", retries=0):
    """A call that may fail: its text, or the error as SDKs show it."""
    client = client.with_options(max_retries=retries)
    messages = [{"role": "user", "content": content}]
    text = ""
    try:
        if path == "unknown":
            client.post("/modelsxyz", cast_to=object, body={})
        elif is_stream:
            for chunk in client.chat.completions.create(
                model=model, messages=messages, stream=True
            ):
                text += chunk.choices[0].delta.content or ""
        else:
            done = client.chat.completions.create(model=model, messages=messages)
            text = done.choices[0].message.content
    except openai.APIError as error:
        seen = {"class": type(error).__name__, "code": error.code, "text": text}
        if isinstance(error, openai.APIStatusError):
            seen |= {"status": error.status_code, "message": error.body["message"]}
            seen["request_id"] = bool(error.request_id)
        return seen
    return {"text": text}


def azure(client):
    """`client` is not used: Azure's own stands beside it."""
    return asyncio.run(_azure(str(client.base_url).removesuffix("/v1/"), client.api_key))


async def _azure(endpoint, key):
    async with AsyncAzureOpenAI(
        azure_endpoint=endpoint, api_key=key, api_version="2024-10-21", max_retries=0
    ) as client:
        done = await client.chat.completions.create(model=MODEL, messages=MESSAGES)
        answer = await client.responses.create(model="gpt-5-mini", input="Hello")
        try:
            await client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
        except openai.PermissionDeniedError as error:
            return [done.choices[0].message.content, answer.output_text, error.code]


def _wait(seconds):
    print(json.dumps({"wait": seconds}), flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    time.sleep = _wait
    story, arguments = sys.argv[1], json.loads(sys.argv[2]) if len(sys.argv) > 2 else {}
    print(json.dumps({"result": globals()[story](OpenAI(), **arguments)}), flush=True)

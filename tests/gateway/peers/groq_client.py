"""Stories of Groq's own SDK, whose address has no path; as openai_client.py, which says more."""

import json
import os
import sys

from groq import APIStatusError, Groq

CHAT = {"model": "llama-3.3-70b-versatile", "messages": [{"role": "user", "content": "Hello"}]}


def chat(client):
    done = client.chat.completions.create(**CHAT)
    return [done.choices[0].message.content, done.usage.total_tokens]


def stream(client):
    chunks = list(client.chat.completions.create(**CHAT, stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    return [text, chunks[-1].x_groq.usage.total_tokens]


def models(client):
    return [model.id for model in client.models.list().data]


def refusal(client):
    try:
        chat(client)
    except APIStatusError as error:
        return [type(error).__name__, error.body["error"]["code"]]


if __name__ == "__main__":
    its_client = Groq(
        base_url=os.environ["OPENAI_BASE_URL"], api_key=os.environ["OPENAI_API_KEY"], max_retries=0
    )
    story, arguments = sys.argv[1], json.loads(sys.argv[2])
    print(json.dumps({"result": globals()[story](its_client, **arguments)}), flush=True)

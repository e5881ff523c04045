"""Stories of LangChain's OpenAI package; as openai_client.py, which says more."""

import json
import sys

import tiktoken
from langchain_openai import ChatOpenAI, OpenAIEmbeddings


def embeddings():
    """By default it sends the numbers of tokens, not the text."""
    return OpenAIEmbeddings(model="text-embedding-3-small").embed_documents(["Hi!", "Grüße"])


def stream(*, stream_usage):
    model = ChatOpenAI(model="gpt-4o-mini", stream_usage=stream_usage)
    chunks = list(model.stream("Hello"))
    usage = [chunk.usage_metadata["output_tokens"] for chunk in chunks if chunk.usage_metadata]
    return ["".join(chunk.content for chunk in chunks), usage]


def _bytes_as_tokens(name: str) -> tiktoken.Encoding:
    """Return an encoding with a token for each byte: the real ones are downloads."""
    ranks = {bytes([number]): number for number in range(256)}
    return tiktoken.Encoding(name, pat_str=r"[\s\S]", mergeable_ranks=ranks, special_tokens={})


if __name__ == "__main__":
    tiktoken.encoding_for_model = tiktoken.get_encoding = _bytes_as_tokens
    story, arguments = sys.argv[1], json.loads(sys.argv[2])
    print(json.dumps({"result": globals()[story](**arguments)}), flush=True)

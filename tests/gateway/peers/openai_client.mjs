// Stories of the official SDK for Node, set up by its environment variables alone:
//     openai_client.mjs STORY [JSON of arguments]
// What it prints is as openai_client.py has it, which tells the same stories.

import { createInterface } from "node:readline";
import OpenAI, { APIError, toFile } from "openai";

const MODEL = "gpt-4o-mini";
const messages = [{ role: "user", content: "Hello" }];
const tools = [
  { type: "function", function: { name: "weather", parameters: { type: "object", properties: {} } } },
];

async function all(iterable) {
  const items = [];
  for await (const item of iterable) items.push(item);
  return items;
}

const stories = {
  async chat(client) {
    const done = await client.chat.completions.create({ model: MODEL, messages });
    return [done.choices[0].message.content, done.usage.total_tokens, done.model];
  },
  async stream(client) {
    const chunks = await all(await client.chat.completions.create({ model: MODEL, messages, stream: true }));
    return chunks.map((chunk) => chunk.choices[0].delta.content ?? "").join("");
  },
  async stream_with_usage(client) {
    const chunks = await all(
      await client.chat.completions.create({
        model: MODEL, messages, stream: true, stream_options: { include_usage: true },
      }),
    );
    const last = chunks.at(-1);
    return [chunks.length, last.choices.length, last.usage.prompt_tokens, last.usage.completion_tokens];
  },
  async tools(client) {
    const done = await client.chat.completions.create({ model: MODEL, messages, tools });
    const call = done.choices[0].message.tool_calls[0].function;
    return [call.name, JSON.parse(call.arguments)];
  },
  async streamed_tools(client) {
    let name = "", text = "";
    for await (const chunk of await client.chat.completions.create({ model: MODEL, messages, tools, stream: true })) {
      for (const call of chunk.choices[0].delta.tool_calls ?? []) {
        name += call.function.name ?? "";
        text += call.function.arguments ?? "";
      }
    }
    return [name, JSON.parse(text)];
  },
  async responses(client) {
    const done = await client.responses.create({ model: "gpt-5-mini", input: "Hello" });
    return [done.output_text, done.status, done.usage.output_tokens];
  },
  async streamed_responses(client) {
    const events = await all(await client.responses.create({ model: "gpt-5-mini", input: "Hello", stream: true }));
    return [events.map((event) => event.type), events.at(-1).response.usage.input_tokens];
  },
  async embeddings(client) {
    const done = await client.embeddings.create({ model: "text-embedding-3-small", input: ["Hello"] });
    return [done.data[0].embedding, done.usage.prompt_tokens];
  },
  async models(client) {
    const listed = (await all(client.models.list())).map((model) => model.id);
    return [listed, (await client.models.retrieve(MODEL)).id];
  },
  async files(client) {
    const file = await toFile(Buffer.from("Grow 🌱"), "notes.txt");
    const made = await client.files.create({ file, purpose: "user_data" });
    const listed = (await all(client.files.list())).map((each) => each.id);
    const content = await (await client.files.content(made.id)).text();
    return [made.id, listed, content, (await client.files.delete(made.id)).deleted];
  },
  async transcription(client) {
    const file = await toFile(Buffer.from("ID3".repeat(1000)), "speech.mp3");
    return (await client.audio.transcriptions.create({ model: "whisper-1", file })).text;
  },
  async speech(client) {
    const done = await client.audio.speech.create({ model: "tts-1", voice: "alloy", input: "Hi" });
    return [...new Uint8Array(await done.arrayBuffer())];
  },
  async images(client) {
    const done = await client.images.generate({ model: "gpt-image-1", prompt: "a cat" });
    return [done.data[0].b64_json, done.usage.output_tokens];
  },
  async moderations(client) {
    const done = await client.moderations.create({ input: "Hello", model: "omni-moderation-latest" });
    return done.results[0].flagged;
  },
  async call(client, { model = MODEL, is_stream = false, content = "Hello", path = "chat", retries = 0 }) {
    const options = { maxRetries: retries };
    const body = { model, messages: [{ role: "user", content }] };
    let text = "";
    try {
      if (path === "unknown") {
        await client.post("/modelsxyz", { body: {}, ...options });
      } else if (is_stream) {
        for await (const chunk of await client.chat.completions.create({ ...body, stream: true }, options)) {
          text += chunk.choices[0].delta.content ?? "";
        }
      } else {
        text = (await client.chat.completions.create(body, options)).choices[0].message.content;
      }
    } catch (error) {
      if (!(error instanceof APIError)) throw error;
      const seen = { class: error.constructor.name, code: error.code ?? null, text };
      if (error.status) {
        Object.assign(seen, { status: error.status, message: error.error.message });
        seen.request_id = Boolean(error.requestID);
      }
      return seen;
    }
    return { text };
  },
};

// A wait of the SDK is printed, and lasts until a line comes in; Node's own timers run on.
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const wait = globalThis.setTimeout;
globalThis.setTimeout = (then, milliseconds, ...rest) => {
  if (!/openai\/internal\/utils\/sleep/.test(new Error().stack)) return wait(then, milliseconds, ...rest);
  console.log(JSON.stringify({ wait: milliseconds / 1000 }));
  lines.next().then(() => then(...rest));
};

const [story, text] = process.argv.slice(2);
const result = await stories[story](new OpenAI(), JSON.parse(text ?? "{}"));
console.log(JSON.stringify({ result }));
process.exit(0);

// The TypeScript SDK's client at work: node ts_client.mjs LIBRARY URL KEY MODE
// MODE is `legacy`, `auto`, or a revision to pin (2.x only). Prints what it reads as JSON.
const [library, url, key, mode] = process.argv.slice(2);

async function load() {
  if (library.endsWith("/sdk")) {
    const { Client } = await import(`${library}/client/index.js`);
    const { StreamableHTTPClientTransport } = await import(`${library}/client/streamableHttp.js`);
    return { Client, StreamableHTTPClientTransport };
  }
  return import(library);
}

async function whole(list, member) {
  const items = [];
  let cursor;
  do {
    const page = await list(cursor ? { cursor } : {});
    items.push(...page[member]);
    cursor = page.nextCursor;
  } while (cursor);
  return items;
}

const { Client, StreamableHTTPClientTransport } = await load();
const pinned = mode.startsWith("20") ? { pin: mode } : mode;
const client = new Client(
  { name: "peer", version: "1" },
  library.endsWith("/sdk") ? {} : { versionNegotiation: { mode: pinned } },
);
await client.connect(
  new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers: { "X-API-Key": key } } }),
);
const tools = await whole((p) => client.listTools(p), "tools");
const result = {
  tools: tools.map((tool) => tool.name),
  resources: (await whole((p) => client.listResources(p), "resources")).map((each) => each.uri),
  templates: (await whole((p) => client.listResourceTemplates(p), "resourceTemplates")).map(
    (each) => each.uriTemplate,
  ),
  prompts: (await whole((p) => client.listPrompts(p), "prompts")).map((each) => each.name),
  meta: Object.fromEntries(tools.filter((tool) => tool._meta).map((tool) => [tool.name, tool._meta])),
};
const callable = tools.find((tool) => tool.name === "good__add");
if (callable) {
  const called = await client.callTool({ name: "good__add", arguments: { a: 2, b: 40 } });
  result.called = called.content[0].text;
}
console.log(JSON.stringify(result));
await client.close();
process.exit(0);

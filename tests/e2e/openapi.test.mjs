// Goal: /openapi.json of a running daemon is what programs that read such documents take: valid
// OpenAPI 3.1 with valid JSON Schemas, and enough for a client that knows nothing else. Method: the
// published schema of OpenAPI by ajv, the linter of Redocly, and a client in Python
// (openapi_client.py) that holds all answers to the document.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import Ajv2020 from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { kKeys, Provider } from './ai_provider.mjs';
import { Daemon, root } from './daemon.mjs';

const require = createRequire(import.meta.url);
const run = promisify(execFile);
const daemon = new Daemon();
let document;

before(async () => {
  await daemon.start();
  document = await (await fetch(`${daemon.url}/openapi.json`)).json();
});
after(async () => {
  if (daemon.process) await daemon.stop();
  daemon.remove();
});

// Everything below `node` that is a Schema Object, with its place.
function* schemasOf(node, place = '#') {
  for (const [name, value] of Object.entries(node)) {
    if (value === null || typeof value !== 'object') continue;
    if (name === 'schema') yield [`${place}/schema`, value];
    else yield* schemasOf(value, `${place}/${name}`);
  }
}

test('the document is valid by the published schema of OpenAPI 3.1', () => {
  const file = require.resolve('@seriousme/openapi-schema-validator/schemas/v3.1/schema.json');
  const schema = JSON.parse(readFileSync(file));
  assert.match(schema.$id, /^https:\/\/spec\.openapis\.org\/oas\/3\.1\/schema\//);
  const validate = addFormats(new Ajv2020({ strict: false, formats: { 'media-range': true } })).compile(schema);
  assert.ok(validate(document), JSON.stringify(validate.errors));
  assert.equal(validate({ ...document, info: { title: 'kvcs' } }), false);
});

test('each schema in it is a valid JSON Schema of 2020-12', () => {
  const ajv = addFormats(new Ajv2020({ strict: true, allowUnionTypes: true, strictTypes: 'log', logger: false }));
  ajv.addKeyword('components');
  ajv.addSchema({ $id: 'https://kvcs.example/', components: document.components });
  let count = 0;
  const compile = (place, schema) => {
    const text = JSON.stringify(schema).replaceAll('"#/', '"https://kvcs.example/#/');
    assert.doesNotThrow(() => ajv.compile(JSON.parse(text)), `${place}: ${text}`);
    count++;
  };
  for (const [name, schema] of Object.entries(document.components.schemas)) compile(name, schema);
  for (const [place, schema] of schemasOf(document.paths)) compile(place, schema);
  assert.ok(count > 800, `${count} schemas`);
  assert.throws(() => ajv.compile({ type: [['number', 'string'], 'null'] }));
});

const [major, minor] = process.versions.node.split('.').map(Number);
const lints = (major === 20 && minor >= 19) || major > 22 || (major === 22 && minor >= 12);

test('the linter of Redocly finds no error', { skip: lints ? false : 'it needs Node 20.19 or 22.12' }, async () => {
  const cli = join(dirname(require.resolve('@redocly/cli/package.json')), 'bin/cli.js');
  const file = join(daemon.folder, 'openapi.json');
  const lint = async (text) => {
    writeFileSync(file, text);
    const env = { PATH: process.env.PATH, HOME: daemon.folder, REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true' };
    const args = [cli, 'lint', file, '--extends', 'recommended', '--format', 'json', '--max-problems', '10000'];
    const done = await run(process.execPath, args, { cwd: daemon.folder, env, maxBuffer: 1 << 26 }).catch((failed) => failed);
    return JSON.parse(done.stdout.slice(done.stdout.indexOf('{'))).problems.filter((one) => one.severity === 'error');
  };
  assert.deepEqual((await lint(JSON.stringify(document))).map((one) => [one.ruleId, one.message]), []);
  const twice = JSON.stringify(document).replace('"operationId":"getStatus"', '"operationId":"getHealth"');
  assert.deepEqual((await lint(twice)).map((one) => one.ruleId), ['operation-operationId-unique']);
});

test('a client that knows the document alone uploads, administers, chats and calls', async () => {
  const model = await new Provider().start();
  model.begin(() => ({ text: 'Hello there.' }));
  const tool = createServer((request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ url: request.url }));
  });
  tool.listen(0, '127.0.0.1');
  await once(tool, 'listening');
  try {
    const env = { PATH: process.env.PATH, URL: daemon.url, API_KEY: daemon.credentials.api_key,
      ADMIN_KEY: daemon.credentials.admin_key, MODEL_URL: `${model.url}/v1`, MODEL_KEY: kKeys.openai,
      TOOL_URL: `http://127.0.0.1:${tool.address().port}` };
    const { stdout } = await run('python3', [join(root, 'tests/e2e/openapi_client.py')], { env });
    const checked = JSON.parse(stdout);
    assert.ok(checked.length >= 50, checked.join(', '));
    for (const one of ['putBlob 200', 'getBlob 206', 'listArtifacts 200', 'createUserKey 201',
      'createChatCompletion 200', 'callProvider 200']) {
      assert.ok(checked.includes(one), one);
    }
  } finally {
    model.stop();
    tool.closeAllConnections();
    tool.close();
  }
});

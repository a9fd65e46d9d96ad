// Goal: a thousand streams at once fit into 512 MiB, each gets its own bytes, all are billed.
// Method: a provider in this process sends one event to each stream, waits until every client has
// it, reads the daemon's resident memory, and then lets all of them end.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Agent, createServer, request as httpRequest } from 'node:http';
import { test } from 'node:test';
import { withDaemon } from './daemon.mjs';

const binary = process.env.KVCS_BINARY ?? '';
const kStreams = 1000;
const kResidentMax = 512 << 20;
const event = (text) => `data: ${JSON.stringify({ id: 'c', choices: [{ index: 0, delta: { content: text }, finish_reason: null }] })}\n\n`;
const usage = `data: ${JSON.stringify({ id: 'c', choices: [], usage: { prompt_tokens: 1000, completion_tokens: 1000, total_tokens: 2000 } })}\n\n`;

const residentBytes = (pid) => {
  const line = readFileSync(`/proc/${pid}/status`, 'utf8').match(/^VmRSS:\s+(\d+) kB/m);
  return Number(line[1]) * 1024;
};

test('a thousand streams at once stay under 512 MiB', { timeout: 120_000 }, async () => {
  const waiting = [];
  const provider = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => { body += chunk; });
    request.on('end', () => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(event(`begin ${JSON.parse(body).messages[0].content}`));
      waiting.push(response);
    });
  });
  await new Promise((resolve) => provider.listen(0, '127.0.0.1', 4096, resolve));
  const agent = new Agent({ keepAlive: false, maxSockets: Infinity });
  try {
    await withDaemon(async (daemon) => {
      const base_url = `http://127.0.0.1:${provider.address().port}`;
      await daemon.admin('PUT', '/admin/ai/providers/openai', { kind: 'openai', base_url, api_key: 'sk-1' });
      const { user_id } = (await daemon.admin('POST', '/admin/users', { email: 'a@x.org',
        org_id: daemon.credentials.organization_id, monthly_limit_usd: 50 })).body;
      const { api_key } = (await daemon.admin('POST', `/admin/users/${user_id}/api-keys`, { name: 'k' })).body;
      const before = residentBytes(daemon.process.pid);

      let begun = 0;
      let allBegun;
      const everybody = new Promise((resolve) => { allBegun = resolve; });
      const open = (number) => new Promise((resolve, reject) => {
        const body = JSON.stringify({ model: 'gpt-4o-mini', stream: true, max_tokens: 1000,
          messages: [{ role: 'user', content: `stream ${number}` }] });
        const request = httpRequest(`${daemon.url}/v1/chat/completions`, { method: 'POST', agent,
          headers: { authorization: `Bearer ${api_key}`, 'content-type': 'application/json' } }, (response) => {
          assert.equal(response.statusCode, 200);
          let text = '';
          response.on('data', (chunk) => {
            if (text === '' && ++begun === kStreams) allBegun();
            text += chunk;
          });
          response.on('end', () => resolve({ number, text }));
          response.on('error', reject);
        });
        request.on('error', reject);
        request.end(body);
      });
      const streams = Promise.all(Array.from({ length: kStreams }, (_, number) => open(number)));
      await Promise.race([everybody, streams]);
      assert.equal(begun, kStreams);
      const during = residentBytes(daemon.process.pid);
      for (const response of waiting) response.end(event('end') + usage + 'data: [DONE]\n\n');
      for (const { number, text } of await streams) {
        assert.equal(text, event(`begin stream ${number}`) + event('end') + 'data: [DONE]\n\n');
      }
      console.log(`resident: ${before >> 20} MiB idle, ${during >> 20} MiB with ${kStreams} streams`);
      // A sanitizer's shadow is memory too.
      if (!/\/(asan|tsan)\//.test(binary)) assert.ok(during < kResidentMax, `${during >> 20} MiB`);
      const used = (await daemon.admin('GET', `/admin/users/${user_id}/usage`)).body;
      assert.equal(used.request_count, kStreams);
      assert.equal(used.reserved_usd, 0);
      assert.equal(used.current_usage_usd, 0.75);  // 1,000 of 0.15 and 0.60 USD a million, 1,000 times.
    });
  } finally {
    agent.destroy();
    provider.closeAllConnections();
    provider.close();
  }
});

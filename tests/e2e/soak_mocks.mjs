// The others of the soak: a model provider that makes its own bill, and an API behind the tool gateway
// that counts its calls. Both are one server.
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { between, whole } from './chance.mjs';

export const kModel = 'gpt-4o-mini';
const kInputNano = 150;  // A token, as config/prices.yaml has it.
const kOutputNano = 600;

export class Mocks {
  billedNano = 0;
  inferences = 0;
  toolCalls = 0;

  async start() {
    this.server = createServer({ keepAliveTimeout: 0 }, async (request, response) => {
      const chunks = [];
      try {
        for await (const chunk of request) chunks.push(chunk);
        if (request.url.startsWith('/tool/')) await this.#tool(response);
        else await this.#infer(JSON.parse(Buffer.concat(chunks)), response);
      } catch (failure) {
        if (!request.aborted && !response.destroyed) throw failure;
      }
    });
    await new Promise((resolve) => this.server.listen(0, '127.0.0.1', 1024, resolve));
    this.url = `http://127.0.0.1:${this.server.address().port}`;
  }

  stop() {
    this.server.closeAllConnections();
    this.server.close();
  }

  // Work that has begun is billed, whoever waits for it.
  async #infer(body, response) {
    const prompt_tokens = whole(5, 20);
    const completion_tokens = whole(1, body.max_tokens);
    const usage = { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens };
    this.inferences++;
    this.billedNano += prompt_tokens * kInputNano + completion_tokens * kOutputNano;
    await sleep(between(0, 20));
    const one = (more) => ({ id: 'c', object: 'chat.completion', created: 1, model: kModel, ...more });
    if (!body.stream) {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify(one({ usage, choices: [{ index: 0, finish_reason: 'stop',
        message: { role: 'assistant', content: 'word '.repeat(completion_tokens) } }] })));
      return;
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const event = (more) => `data: ${JSON.stringify(one({ object: 'chat.completion.chunk', ...more }))}\n\n`;
    for (let i = 0; i < 8; i++) {
      response.write(event({ choices: [{ index: 0, delta: { content: 'word ' }, finish_reason: null }] }));
      await sleep(between(0, 8));
    }
    response.write(event({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }));
    response.end(`${event({ choices: [], usage })}data: [DONE]\n\n`);
  }

  async #tool(response) {
    this.toolCalls++;
    await sleep(between(0, 10));
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ number: this.toolCalls, list: Array(whole(0, 50)).fill('x') }));
  }
}

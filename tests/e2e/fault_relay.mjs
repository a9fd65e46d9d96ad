// A relay in front of a daemon that fails chosen requests in a chosen way, and notes every request. It
// speaks HTTP/1.1 to both sides, so that it knows where a request begins and ends.
import { createServer, request as ask } from 'node:http';
import { connect } from 'node:net';

// What can happen to one request. `answer` is the daemon's, once it is there whole.
const kWays = {
  // The connection is reset before the daemon has heard anything.
  reset: ({ socket }) => socket.resetAndDestroy(),
  // The daemon has done it, and its answer is lost.
  swallow: async ({ forward, socket }) => {
    await forward();
    socket.resetAndDestroy();
  },
  // A part of the answer's head comes.
  'cut head': async ({ forward, socket }) => {
    await forward();
    socket.end('HTTP/1.1 20');
  },
  // Half of the answer's body comes.
  'cut body': async ({ forward, socket }) => {
    const { status, headers, body } = await forward();
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`).join('');
    socket.write(`HTTP/1.1 ${status} OK\r\n${lines}\r\n`);
    socket.end(body.subarray(0, Math.floor(body.length / 2)));
  },
  // Nothing comes for as long as the client waits.
  stall: () => {},
};

export const ways = Object.keys(kWays).filter((way) => way !== 'stall');

// Ends each of the sockets when one of them has ended. Returns what ends them now, which is in `open` until then.
export function tie(open, ...sockets) {
  const end = () => {
    for (const socket of sockets) socket.destroy();
    open.delete(end);
  };
  open.add(end);
  for (const socket of sockets) {
    socket.on('error', end);
    socket.on('close', end);
  }
  return end;
}

export class FaultRelay {
  // `faults`: [{ method, path: RegExp, asks = () => true, way, times = 1, headers = {} }]; `asks` is told the headers
  // of the request, `way` is one of the above, or a status with `headers`.
  constructor(daemon, faults = []) {
    Object.assign(this, { daemon, faults: faults.map((fault) => ({ times: 1, ...fault })), seen: [], watchers: [] });
  }

  async start() {
    this.server = createServer((request, response) => {
      this.serve(request, response).catch(() => request.socket.destroy());
    });
    await new Promise((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    this.url = `http://127.0.0.1:${this.server.address().port}`;
    return this;
  }

  // Resolves when a request of this method has come to this path.
  came(method, path) {
    return new Promise((resolve) => this.watchers.push({ method, path, resolve }));
  }

  // Resolves when the status that is the fault of such a request has gone out.
  failed(method, path) {
    return new Promise((resolve) => this.watchers.push({ method, path, isFailure: true, resolve }));
  }

  tell(request, isFailure = false) {
    for (const one of this.watchers) {
      const fits = one.method === request.method && one.path.test(request.url);
      if (fits && Boolean(one.isFailure) === isFailure) one.resolve();
    }
  }

  async serve(request, response) {
    this.seen.push(`${request.method} ${request.url}`);
    this.tell(request);
    const fault = this.faults.find(({ method, path, times, asks }) =>
      times > 0 && method === request.method && path.test(request.url) && (!asks || asks(request.headers)));
    if (fault === undefined) return this.pass(request, response);
    fault.times--;
    if (typeof fault.way === 'number') {
      for await (const chunk of request) void chunk;
      response.writeHead(fault.way, { 'content-type': 'application/json', ...fault.headers });
      return response.end(JSON.stringify({ error: `The relay says ${fault.way}.` }), () => this.tell(request, true));
    }
    const forward = () => this.forward(request);
    return kWays[fault.way]({ forward, socket: request.socket });
  }

  // The daemon's whole answer.
  async forward(request) {
    const answer = await this.open(request);
    const chunks = [];
    for await (const chunk of answer) chunks.push(chunk);
    return { status: answer.statusCode, headers: answer.headers, body: Buffer.concat(chunks) };
  }

  async pass(request, response) {
    const answer = await this.open(request);
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  }

  open(request) {
    return new Promise((resolve, reject) => {
      const { method, url: path } = request;
      // The daemon takes changes from pages of its own address alone.
      const headers = { ...request.headers };
      if (headers.origin === this.url) headers.origin = this.daemon.url;
      const { hostname, port } = new URL(this.daemon.url);
      const passed = ask({ host: hostname, port, method, path, headers, agent: false }, resolve);
      passed.on('error', reject);
      request.pipe(passed);
    });
  }

  stop() {
    this.server.closeAllConnections();
    return new Promise((resolve) => this.server.close(resolve));
  }
}

// A proxy as companies have one: it forwards requests in absolute form, and opens tunnels. Every name leads to
// this machine. It notes what it was asked for.
export class ForwardProxy {
  constructor() {
    Object.assign(this, { seen: [], open: new Set() });
  }

  async start() {
    this.server = createServer((request, response) => {
      this.seen.push(`${request.method} ${request.url}`);
      const { port, pathname, search } = new URL(request.url);
      const passed = ask({ host: '127.0.0.1', port, method: request.method, path: pathname + search,
        headers: request.headers, agent: false }, (answer) => {
        response.writeHead(answer.statusCode, answer.headers);
        answer.pipe(response);
      });
      passed.on('error', () => response.destroy());
      request.pipe(passed);
    });
    this.server.on('connect', (request, client, head) => {
      this.seen.push(`CONNECT ${request.url}`);
      const upstream = connect(Number(request.url.split(':').pop()), '127.0.0.1', () => {
        client.write('HTTP/1.1 200 Connection established\r\n\r\n');
        upstream.write(head);
        upstream.pipe(client);
        client.pipe(upstream);
      });
      tie(this.open, client, upstream);
    });
    await new Promise((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    this.url = `http://127.0.0.1:${this.server.address().port}`;
    return this;
  }

  stop() {
    for (const end of [...this.open]) end();
    this.server.closeAllConnections();
    return new Promise((resolve) => this.server.close(resolve));
  }
}

// Goal: what people are sent reaches the mail server once and in words, under TLS where the server is
// elsewhere, and a server that is away keeps nobody waiting. Method: the real binary against
// smtp-server, with and without a login.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { SMTPServer } from 'smtp-server';
import { Daemon } from './daemon.mjs';

const json = { 'content-type': 'application/json' };
const password = 'correct horse battery staple';

// A mail server that keeps what it gets; `take()` is the next letter, once it is there.
class Mailbox {
  async start(options = {}) {
    this.letters = [];
    this.waiting = [];
    this.refusals = 0;  // How many of the next letters are refused.
    this.server = new SMTPServer({ authOptional: true, disabledCommands: ['STARTTLS'], logger: false, ...options,
      onData: (stream, session, done) => {
        let text = '';
        stream.on('data', (chunk) => { text += chunk; });
        stream.on('end', () => {
          if (this.refusals-- > 0) return done(Object.assign(new Error(this.words ?? 'later'), { responseCode: this.code ?? 451 }));
          const from = session.envelope.mailFrom.address, to = session.envelope.rcptTo.map((one) => one.address);
          const [head, ...rest] = text.split('\r\n\r\n');
          const body = Buffer.from(rest.join(''), 'base64').toString();
          const letter = { from, to, head, body, user: session.user, secure: session.secure };
          const reader = this.waiting.shift();
          if (reader) reader(letter);
          else this.letters.push(letter);
          done();
        });
      } });
    this.server.on('error', () => {});  // A client that leaves.
    this.server.listen(0, '127.0.0.1');
    await once(this.server.server, 'listening');
    this.port = this.server.server.address().port;
    return this;
  }
  take() {
    if (this.letters.length) return Promise.resolve(this.letters.shift());
    return new Promise((resolve) => this.waiting.push(resolve));
  }
  stop() {
    return new Promise((resolve) => this.server.close(resolve));
  }
}

let mailbox, daemon, ada;

// Sets the daemon up, and sends as its owner.
async function owner(of) {
  const token = of.credentials.setup_url.split('token=')[1];
  const refused = await fetch(`${of.url}/auth/setup`, { method: 'POST', headers: json,
    body: JSON.stringify({ token, email: 'ada@example.com', name: 'Ada\r\nBcc: eve@example.com', password }) });
  assert.equal(refused.status, 400);
  const { headers } = await of.setUp();
  return async (path, body) => {
    const response = await fetch(of.url + path, { method: 'POST', body: JSON.stringify(body),
      headers });
    return { status: response.status, body: await response.json().catch(() => null) };
  };
}
const post = (path, body) => fetch(daemon.url + path, { method: 'POST', headers: json, body: JSON.stringify(body) });

before(async () => {
  mailbox = await new Mailbox().start();
  daemon = await new Daemon({ KVCS_MAIL_SMTP_URL: `smtp://127.0.0.1:${mailbox.port}`,
    KVCS_MAIL_FROM: 'kvcs@example.com' }).start();
  ada = await owner(daemon);
});
after(async () => {
  await daemon?.stop();
  daemon?.remove();
  await mailbox?.stop();
});

test('an invitation is mailed to the address that it names, and its link works', async () => {
  const made = await ada('/api/v1/invitations', { email: 'grace@example.com', role: 'member' });
  assert.equal(made.status, 201);
  assert.equal(made.body.mailed, true);
  const letter = await mailbox.take();
  assert.equal(letter.from, 'kvcs@example.com');
  assert.deepEqual(letter.to, ['grace@example.com']);
  assert.ok(!/^bcc:/im.test(letter.head), letter.head);
  assert.ok(letter.body.includes(made.body.url), letter.body);
  const token = letter.body.match(/token=([\w-]+)/)[1];
  assert.equal((await post('/auth/register', { token, password })).status, 201);
  // Nobody to send it to.
  assert.equal((await ada('/api/v1/invitations', { role: 'viewer' })).body.mailed, false);
});

test('a letter names no organization whose name a mail program would make a link of', async () => {
  const made = await ada('/api/v1/organizations', { name: 'You won, see https://evil.example/x' });
  assert.equal(made.status, 201);
  const path = `/api/v1/organizations/${made.body.organization_id}/invitations`;
  assert.equal((await ada(path, { email: 'henry@example.com', role: 'viewer' })).body.mailed, true);
  const letter = await mailbox.take();
  assert.ok(letter.body.includes('Ada invites you to join an organization as viewer'), letter.body);
  assert.ok(!letter.body.includes('evil.example'), letter.body);
});

test('a lost password is replaced by mail; who has no account gets the same answer and no mail', async () => {
  const answers = [];
  for (const email of ['nobody@example.com', 'Grace@Example.com']) {
    const response = await post('/auth/reset', { email });
    answers.push([response.status, await response.text()]);
  }
  assert.deepEqual(answers[0], answers[1]);
  assert.equal(answers[0][0], 202);
  const letter = await mailbox.take();
  assert.deepEqual(letter.to, ['grace@example.com']);
  const token = letter.body.match(/#\/reset\?token=([\w.-]+)/)[1];
  const fresh = 'another violin under seven clouds';
  assert.equal((await post('/auth/reset/confirm', { token, password: fresh })).status, 204);
  assert.equal((await post('/auth/reset/confirm', { token, password: fresh })).status, 401);
  assert.equal((await post('/auth/login', { email: 'grace@example.com', password })).status, 401);
  assert.equal((await post('/auth/login', { email: 'grace@example.com', password: fresh })).status, 200);
  assert.equal(mailbox.letters.length, 0);
});

test('an address that would be more than one is refused', async () => {
  for (const email of ['a@b.c\r\nBcc: eve@example.com', 'a@b.c,eve@example.com', '<a@b.c>']) {
    const made = await ada('/api/v1/invitations', { email, role: 'member' });
    assert.equal(made.status, 400, JSON.stringify(email));
  }
  assert.equal(mailbox.letters.length, 0);
  // White space around one is not of it.
  const made = await ada('/api/v1/invitations', { email: 'a@b.c\n', role: 'member' });
  assert.equal(made.body.email, 'a@b.c');
  assert.deepEqual((await mailbox.take()).to, ['a@b.c']);
});

test('what the server refuses for good is not sent again, and its words are told', async () => {
  Object.assign(mailbox, { refusals: 1, code: 550, words: '5.7.1 no such mailbox here' });
  const line = await daemon.logs(/"event":"mail.not_sent"/, () => ada('/api/v1/invitations', { email: 'gone@example.com', role: 'member' }));
  Object.assign(mailbox, { code: 451, words: 'later' });
  assert.match(line, /550 5\.7\.1 no such mailbox here/);
  assert.match(line, /"again":false/);
});

test('an address that mail cannot be sent to is told as such', async () => {
  const made = await ada('/api/v1/invitations', { email: 'jürgen@example.com', role: 'member' });
  assert.equal(made.status, 201);
  assert.equal(made.body.mailed, false);
});

test('a server with a login gets it under TLS alone; one that fails keeps nobody waiting', async () => {
  const secure = await new Mailbox().start({ disabledCommands: [], authOptional: false,
    onAuth: (auth, session, done) => (auth.username === 'me@example.com' && auth.password === 'pw-1'
      ? done(null, { user: auth.username }) : done(new Error('no'))) });
  const other = await new Daemon({ KVCS_MAIL_SMTP_URL: `smtp://me@example.com@127.0.0.1:${secure.port}`,
    KVCS_MAIL_FROM: 'kvcs@example.com', KVCS_MAIL_PASSWORD_ENV: 'MAIL_PASSWORD', MAIL_PASSWORD: 'pw-1' }).start();
  try {
    const send = await owner(other);
    // Its certificate is its own, which nobody knows: nothing is sent, and the answer does not wait.
    const line = await other.logs(/"event":"mail.not_sent"/, async () => {
      const made = await send('/api/v1/invitations', { email: 'grace@example.com', role: 'member' });
      assert.equal(made.body.mailed, true);
    });
    assert.match(line, /"again":true/);
    assert.equal(secure.letters.length, 0);
    assert.ok(!other.log.includes('pw-1'));
  } finally {
    await other.stop();
    other.remove();
    await secure.stop();
  }
});

test('mail that is set up wrongly is said at the start', async () => {
  const wrong = new Daemon({ KVCS_MAIL_SMTP_URL: 'smtp://me:pw-2@mail.example.com', KVCS_MAIL_FROM: 'a@b.c' });
  await assert.rejects(wrong.start(), (error) => /mail\.smtp_url/.test(error.message) && !/pw-2/.test(error.message));
  wrong.remove();
});

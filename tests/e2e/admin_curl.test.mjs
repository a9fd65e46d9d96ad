// Goal: the requests of an operator's handbook, as they are written there, work with curl itself
// against the real binary, and every answer has exactly the documented members.
// Method: each block is a shell script that bash runs; only the host and the keys come from outside.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { Daemon } from './daemon.mjs';

const daemon = new Daemon();
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;
const env = { PATH: process.env.PATH };

// Runs the script's one curl; resolves with its status and JSON.
async function run(script) {
  const curl = 'curl() { command curl -sS --write-out "\\n%{http_code}" "$@"; }\n';
  const { stdout } = await promisify(execFile)('bash', ['-euc', curl + script], { env });
  const at = stdout.lastIndexOf('\n');
  const text = stdout.slice(0, at);
  return { status: Number(stdout.slice(at + 1)), body: text ? JSON.parse(text) : null, text };
}

const members = (answer, ...names) => {
  for (const name of names) assert.ok(name in answer.body, `${name} in ${answer.text}`);
};
const exactly = (answer, ...names) => assert.deepEqual(Object.keys(answer.body).sort(), names.sort());

before(async () => {
  await daemon.start();
  env.ADMIN_API = daemon.url;
  env.ADMIN_KEY = daemon.credentials.admin_key;
});
after(async () => {
  if (daemon.process) await daemon.stop();
  daemon.remove();
});

test('setup: the first organization, the first user', async () => {
  const org = await run(`
curl -X POST $ADMIN_API/admin/organizations \\
  -H "Authorization: Bearer $ADMIN_KEY" \\
  -H "Content-Type: application/json" \\
  -d '{
    "name": "My Company",
    "monthly_budget_usd": 5000.00,
    "failure_mode": "fail_open"
  }'`);
  assert.equal(org.status, 201);
  members(org, 'org_id', 'name', 'monthly_budget_usd', 'failure_mode');
  assert.match(org.body.org_id, uuid);
  assert.equal(org.body.name, 'My Company');
  assert.equal(org.body.failure_mode, 'fail_open');
  assert.match(org.text, /"monthly_budget_usd":5000\.00[,}]/);
  assert.match(org.text, /"fallback_daily_limit":10\.00[,}]/);
  env.ORG_ID = org.body.org_id;

  // In double quotes, so that the shell puts the id in.
  const user = await run(`
curl -X POST $ADMIN_API/admin/users \\
  -H "Authorization: Bearer $ADMIN_KEY" \\
  -H "Content-Type: application/json" \\
  -d "{
    \\"email\\": \\"admin@mycompany.com\\",
    \\"monthly_limit_usd\\": 1000.00,
    \\"org_id\\": \\"$ORG_ID\\"
  }"`);
  assert.equal(user.status, 201);
  exactly(user, 'user_id', 'email', 'monthly_limit_usd', 'status', 'created_at');
  assert.match(user.body.user_id, uuid);
  assert.equal(user.body.email, 'admin@mycompany.com');
  assert.equal(user.body.status, 'active');
  assert.match(user.body.created_at, time);
  assert.match(user.text, /"monthly_limit_usd":1000\.00[,}]/);
  env.USER_ID = user.body.user_id;
});

test('daily: health, usage, a higher limit, a reset', async () => {
  const health = await run('curl $ADMIN_API/admin/health -H "Authorization: Bearer $ADMIN_KEY"');
  assert.equal(health.status, 200);
  assert.equal(health.body.status, 'healthy');
  assert.match(health.body.timestamp, time);

  const usage = await run(`
curl $ADMIN_API/admin/users/$USER_ID/usage \\
  -H "Authorization: Bearer $ADMIN_KEY"`);
  assert.equal(usage.status, 200);
  members(usage, 'user_id', 'current_usage_usd', 'request_count', 'monthly_limit_usd', 'current_month');
  assert.equal(usage.body.user_id, env.USER_ID);
  assert.equal(usage.body.current_usage_usd, 0);
  assert.equal(usage.body.request_count, 0);
  assert.match(usage.body.current_month, /^\d{4}-\d\d$/);

  const raised = await run(`
curl -X PATCH $ADMIN_API/admin/users/$USER_ID \\
  -H "Authorization: Bearer $ADMIN_KEY" \\
  -H "Content-Type: application/json" \\
  -d '{"monthly_limit_usd": 500.00}'`);
  assert.equal(raised.status, 200);
  members(raised, 'user_id', 'previous_limit', 'new_limit', 'updated_at');
  assert.equal(raised.body.previous_limit, 1000);
  assert.equal(raised.body.new_limit, 500);
  assert.match(raised.body.updated_at, time);

  const reset = await run(`
curl -X POST $ADMIN_API/admin/users/$USER_ID/reset-quota \\
  -H "Authorization: Bearer $ADMIN_KEY" \\
  -H "Content-Type: application/json" \\
  -d '{"reset_reason": "Billing correction"}'`);
  assert.equal(reset.status, 200);
  members(reset, 'user_id', 'previous_usage', 'new_usage', 'reset_at', 'reset_reason');
  assert.match(reset.text, /"new_usage":0\.00[,}]/);
  assert.equal(reset.body.previous_usage, 0);
  assert.equal(reset.body.reset_reason, 'Billing correction');
  assert.match(reset.body.reset_at, time);
});

test('users: limits and status in one request, and the details', async () => {
  const changed = await run(`
curl -X PATCH $ADMIN_API/admin/users/$USER_ID -H "Authorization: Bearer $ADMIN_KEY" \\
  -H "Content-Type: application/json" -d '{
  "monthly_limit_usd": 150.00,
  "status": "active"
}'`);
  assert.equal(changed.status, 200);
  assert.equal(changed.body.new_limit, 150);
  const status = await run(`
curl -X PATCH $ADMIN_API/admin/users/$USER_ID -H "Authorization: Bearer $ADMIN_KEY" \\
  -H "Content-Type: application/json" -d '{"status": "suspended"}'`);
  assert.equal(status.body.previous_limit, 150);
  assert.equal(status.body.new_limit, 150);
  const got = await run('curl $ADMIN_API/admin/users/$USER_ID -H "Authorization: Bearer $ADMIN_KEY"');
  assert.equal(got.status, 200);
  members(got, 'user_id', 'email', 'monthly_limit_usd', 'current_usage_usd', 'status', 'created_at');
  assert.equal(got.body.status, 'suspended');
});

test('keys: generated, shown once, revoked', async () => {
  const made = await run(`
curl -X POST $ADMIN_API/admin/users/$USER_ID/api-keys -H "Authorization: Bearer $ADMIN_KEY" \\
  -H "Content-Type: application/json" -d '{
  "name": "Development Key"
}'`);
  assert.equal(made.status, 201);
  exactly(made, 'key_id', 'api_key', 'name', 'created_at');
  assert.match(made.body.key_id, uuid);
  assert.match(made.body.api_key, /^gw_live_[0-9a-f]{32,}$/);
  assert.equal(made.body.name, 'Development Key');
  env.KEY_ID = made.body.key_id;
  const revoked = await run(`
curl -X DELETE $ADMIN_API/admin/users/$USER_ID/api-keys/$KEY_ID -H "Authorization: Bearer $ADMIN_KEY"`);
  assert.equal(revoked.status, 200);
  exactly(revoked, 'key_id', 'revoked_at', 'status');
  assert.equal(revoked.body.status, 'revoked');
  assert.match(revoked.body.revoked_at, time);
});

test('organizations: settings and usage', async () => {
  const changed = await run(`
curl -X PATCH $ADMIN_API/admin/organizations/$ORG_ID -H "Authorization: Bearer $ADMIN_KEY" \\
  -H "Content-Type: application/json" -d '{
  "monthly_budget_usd": 15000.00,
  "failure_mode": "fail_open"
}'`);
  assert.equal(changed.status, 200);
  assert.equal(changed.body.monthly_budget_usd, 15000);
  const usage = await run(
    'curl $ADMIN_API/admin/organizations/$ORG_ID/usage -H "Authorization: Bearer $ADMIN_KEY"');
  assert.equal(usage.status, 200);
  members(usage, 'org_id', 'current_usage_usd', 'monthly_budget_usd', 'current_month');
  assert.equal(usage.body.org_id, env.ORG_ID);
  assert.equal(usage.body.monthly_budget_usd, 15000);
});

test('what the handbook leaves open is refused in words', async () => {
  const nobody = await run(
    'curl $ADMIN_API/admin/users/00000000-0000-0000-0000-000000000000 -H "Authorization: Bearer $ADMIN_KEY"');
  assert.equal(nobody.status, 404);
  assert.equal(nobody.body.code, 'user_not_found');
  // In single quotes the shell leaves the name as it is, and no organization is called so.
  const quoted = await run(`
curl -X POST $ADMIN_API/admin/users -H "Authorization: Bearer $ADMIN_KEY" \\
  -H "Content-Type: application/json" \\
  -d '{"email": "x@mycompany.com", "monthly_limit_usd": 1, "org_id": "$ORG_ID"}'`);
  assert.equal(quoted.status, 404);
  assert.equal(quoted.body.code, 'org_not_found');
  const guess = await run('curl $ADMIN_API/admin/health -H "Authorization: Bearer admin_key_xxx_guessed"');
  assert.equal(guess.status, 401);
});

// An AI gateway with nothing but Workers KV, as peer for `make bench`: the key is hashed and looked
// up, the month's budget of the user is compared with the worst cost, the call is forwarded, and
// what it used is added to the quotas of user and organization and to the key's record. The state
// is read, changed and written back without a lock: that is the design that is measured.
const PRICE = { input: 1.5e-7, output: 6e-7 };

const read = (env, key) => env.KV.get(key, 'json');
const write = (env, key, value) => env.KV.put(key, JSON.stringify(value));
const month = () => new Date().toISOString().slice(0, 7);
const refuse = (status, message) => Response.json({ error: { message } }, { status });

async function sha256Hex(text) {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

// One organization, user and key, for the bench.
async function setUp(env, bearer) {
  await write(env, 'org:o1:config', { monthly_budget_usd: 1e6, failure_mode: 'fail_closed' });
  await write(env, 'org:o1:quota', { month_usage_usd: 0, current_month: month() });
  await write(env, 'user:u1:config', { org_id: 'o1', monthly_limit_usd: 1e6, status: 'active' });
  await write(env, 'user:u1:quota', { month_usage_usd: 0, current_month: month(), request_count: 0 });
  await write(env, 'user:u1:keys:k1', { name: 'bench', status: 'active', last_used_at: null });
  await write(env, `apikey:${await sha256Hex(bearer)}`,
    { user_id: 'u1', key_id: 'k1', name: 'bench', status: 'active' });
  return new Response('ready');
}

async function authenticate(env, bearer) {
  const key = await read(env, `apikey:${await sha256Hex(bearer)}`);
  if (!key || key.status !== 'active') return null;
  const user = await read(env, `user:${key.user_id}:config`);
  return user?.status === 'active' ? key : null;
}

async function checkQuota(env, userId, worstCost) {
  let quota = await read(env, `user:${userId}:quota`);
  if (!quota || quota.current_month !== month()) {
    quota = { month_usage_usd: 0, current_month: month(), request_count: 0 };
    await write(env, `user:${userId}:quota`, quota);
  }
  const user = await read(env, `user:${userId}:config`);
  await read(env, `org:${user.org_id}:config`);
  const allowed = quota.month_usage_usd + worstCost <= user.monthly_limit_usd;
  return { allowed, organizationId: user.org_id };
}

async function trackUsage(env, key, organizationId, cost) {
  const now = Date.now();
  const quota = await read(env, `user:${key.user_id}:quota`);
  await write(env, `user:${key.user_id}:quota`, { ...quota, last_update: now,
    month_usage_usd: quota.month_usage_usd + cost, request_count: quota.request_count + 1 });
  const shared = await read(env, `org:${organizationId}:quota`);
  await write(env, `org:${organizationId}:quota`, { ...shared, last_update: now,
    month_usage_usd: (shared?.month_usage_usd ?? 0) + cost });
  const record = await read(env, `user:${key.user_id}:keys:${key.key_id}`);
  await write(env, `user:${key.user_id}:keys:${key.key_id}`,
    { ...record, last_used_at: new Date(now).toISOString() });
}

export default {
  async fetch(request, env, context) {
    const bearer = request.headers.get('authorization')?.replace(/^Bearer /, '') ?? '';
    if (new URL(request.url).pathname === '/setup') return setUp(env, bearer);
    const key = await authenticate(env, bearer);
    if (!key) return refuse(401, 'invalid key');
    const body = await request.text();
    const ask = JSON.parse(body);
    const worst = (body.length / 3) * PRICE.input + (ask.max_tokens ?? 16384) * PRICE.output;
    const { allowed, organizationId } = await checkQuota(env, key.user_id, worst);
    if (!allowed) return refuse(429, 'quota exceeded');
    const answer = await env.PROVIDER.fetch('http://provider/v1/chat/completions', {
      method: 'POST', body,
      headers: { 'content-type': 'application/json', authorization: 'Bearer sk-bench' } });
    const text = await answer.text();
    const { usage } = JSON.parse(text);
    const cost = usage.prompt_tokens * PRICE.input + usage.completion_tokens * PRICE.output;
    context.waitUntil(trackUsage(env, key, organizationId, cost));
    return new Response(text, { status: answer.status,
      headers: { 'content-type': 'application/json' } });
  },
};

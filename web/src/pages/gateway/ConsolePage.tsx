// Tries a call through the gateway as an agent would make it, and shows all of the answer.
import { useEffect, useRef, useState } from 'preact/hooks';
import { api, type ApiError } from '../../api/client';
import { useAction, useQuery } from '../../api/query';
import { setParams, useParam } from '../../router';
import {
  Button, Bytes, Commands, Copy, counted, Duration, ErrorBox, Field, Notice, Page, Section, Select, Skeleton, State, TextField, prettyJson,
} from '../../ui';
import { useOrganizationNames, userName, useUsers } from '../ai/users';
import { type CallDraft, callBody, callLines, takesBody } from './call';
import { endpointsOf, namesIn, useProviders } from './providers';
import { NoTenant } from './TenantBar';
import { useTenants } from './tenants';

// `of`: the service that answered.
interface Answer { of: string; status: number; ms: number; text: string; headers: [string, string][]; bytes: number }

const serviceOf = ({ tenant, provider }: CallDraft): string => `${tenant}/${provider}`;
async function send(draft: CallDraft, signal: AbortSignal): Promise<Answer> {
  const begun = performance.now();
  const path = `/api/v1/${encodeURIComponent(draft.tenant)}/${encodeURIComponent(draft.provider)}`;
  const response = await api.raw(path, {
    method: 'POST', body: JSON.stringify(callBody(draft)), signal,
    headers: { 'content-type': 'application/json', ...(draft.user !== '' && { 'x-kvcs-user': draft.user }) },
  }, 90_000);
  const text = await response.text();
  return { of: serviceOf(draft), status: response.status, ms: performance.now() - begun, text, headers: [...response.headers], bytes: new Blob([text]).size };
}

// What the service itself said, of an answer that the gateway hands on as a refusal.
function Upstream({ error }: { error: ApiError }) {
  const { upstream } = error.details;
  if (upstream === undefined) return null;
  const text = typeof upstream === 'string' ? upstream : JSON.stringify(upstream);
  return (
    <Section title="What the service answered" action={<Copy text={text} label="the answer" />}>
      <pre class="answer" tabIndex={0} aria-label="Body of the refusal"><code>{prettyJson(text)}</code></pre>
    </Section>
  );
}

function Shown({ answer }: { answer: Answer }) {
  return (
    <Section title="Answer" action={<Copy text={answer.text} label="the answer" />}>
      <p><State state={String(answer.status)} tone={answer.status < 400 ? 'good' : 'bad'} />, <Duration ms={answer.ms} />, <Bytes bytes={answer.bytes} /></p>
      <pre class="answer" tabIndex={0} aria-label="Body of the answer"><code>{prettyJson(answer.text)}</code></pre>
      <details>
        <summary>{counted(answer.headers.length, 'header')}</summary>
        <pre class="answer" tabIndex={0} aria-label="Headers of the answer"><code>{answer.headers.map(([name, value]) => `${name}: ${value}`).join('\n')}</code></pre>
      </details>
    </Section>
  );
}

export default function ConsolePage() {
  const tenants = useTenants();
  const providers = useProviders();
  const [providerName] = useParam('provider');
  const [account] = useParam('account');
  const [method] = useParam('method', 'GET');
  // What is typed stands in the address once the field is left.
  const [address] = useParam('path');
  const [typed, setTyped] = useState({ of: address, text: address });
  const path = typed.of === address ? typed.text : address;
  const [user] = useParam('user');
  const [query, setQuery] = useState('');
  const [body, setBody] = useState('');
  const [answer, setAnswer] = useState<Answer | null>(null);
  const tenant = tenants.chosen;
  const users = useUsers();
  const organizations = useOrganizationNames();
  const accounts = useQuery(tenant === '' ? null : `/admin/tenants/${tenant}/accounts`,
    (signal) => api.get('/admin/tenants/{tenant}/accounts', { path: { tenant }, signal }));
  const provider = providers.data?.find((one) => one.provider === providerName);
  const firstUser = users.data?.[0]?.user_id ?? '';
  const draft: CallDraft = { tenant, provider: providerName, account, method, path, query, body, user: user || firstUser };
  const stopper = useRef<AbortController | null>(null);
  const call = useAction(async () => {
    setAnswer(null);
    const stop = new AbortController();
    stopper.current = stop;
    try {
      setAnswer(await send(draft, stop.signal));
    } catch (error) {
      if (!stop.signal.aborted) throw error;
    }
  });
  // The answer of one service does not stand under another.
  useEffect(() => () => stopper.current?.abort(), [providerName, tenant]);
  if (tenants.error && !tenants.all) return <Page title="Console"><ErrorBox error={tenants.error} onRetry={tenants.refresh} /></Page>;
  if (providers.error && !providers.data) return <Page title="Console"><ErrorBox error={providers.error} onRetry={providers.refresh} /></Page>;
  if (!tenants.all || !providers.data) return <Page title="Console"><Skeleton lines={5} /></Page>;
  if (tenants.all.length === 0) return <Page title="Console"><NoTenant /></Page>;
  const connected = [...new Set((accounts.data?.accounts ?? []).map((one) => one.provider))];
  const own = (accounts.data?.accounts ?? []).filter((one) => one.provider === providerName).map((one) => one.account_id);
  const named = providers.data.map((one) => ({ value: one.provider, label: connected.includes(one.provider) ? `${one.display_name} – connected` : one.display_name }));
  const open = namesIn(path);
  const denied = provider && path !== '' && !provider.allowed_path_prefixes.some((one) => path.startsWith(one));
  return (
    <Page title="Console" state="A call as an agent makes it, with an account that is stored here">
      <form class="form wide" onSubmit={(event) => { event.preventDefault(); void call.run(); }}>
        <div class="fields">
          {tenants.all.length > 1 && (
            <Select name="tenant" label="Tenant" value={tenant} onChange={(to) => setParams({ tenant: to })}
              choices={tenants.all.map((one) => ({ value: one.tenant_id, label: one.name || one.tenant_id }))} />
          )}
          <Select name="provider" label="Service" value={provider ? providerName : ''} onChange={(to) => setParams({ provider: to, path: '', account: '', method: null })}
            choices={[{ value: '', label: 'Choose…' }, ...named]} />
          {own.length > 1 && (
            <Select name="account" label="Account" value={account} onChange={(to) => setParams({ account: to })}
              choices={[{ value: '', label: 'default' }, ...own.filter((one) => one !== 'default').map((one) => ({ value: one, label: one }))]} />
          )}
          {(users.data?.length ?? 0) > 0 && (
            <Select name="user" label="For the user" value={draft.user} onChange={(to) => setParams({ user: to })}
              choices={users.data?.map((one, _, all) => ({ value: one.user_id, label: userName(one, all, organizations) })) ?? []} />
          )}
        </div>
        {providerName !== '' && !provider && <Notice tone="warn">There is no service <code>{providerName}</code>. Choose another.</Notice>}
        {users.data?.length === 0 && <Notice tone="warn">A call is made for a user: <a href="#/ai/users">create one</a> first.</Notice>}
        {provider && !connected.includes(providerName) && accounts.data && provider.auth_type !== 'none' && (
          <Notice tone="warn">{provider.display_name} has no account here yet. <a href={`#/gateway?tenant=${encodeURIComponent(tenant)}`}>Connect one</a>.</Notice>
        )}
        {provider && (
          <>
            <div class="fields">
              <Select name="method" label="Method" value={method} onChange={(to) => setParams({ method: to === 'GET' ? null : to })}
                choices={provider.allowed_methods.map((one) => ({ value: one, label: one }))} />
              <Field name="path" label="Path" value={path} list="endpoints" required spellcheck={false} placeholder={endpointsOf(provider)[0]?.path ?? '/'}
                error={denied ? `${provider.display_name} takes paths that begin with ${provider.allowed_path_prefixes.join(', ')}.` : undefined}
                hint={open.length > 0 ? `Put a value in the place of ${open.map((one) => `{${one}}`).join(', ')}.` : `Behind ${provider.base_url}`}
                onInput={(event) => setTyped({ of: address, text: event.currentTarget.value })} onChange={() => setParams({ path })} />
              <datalist id="endpoints">{endpointsOf(provider).map((one) => <option key={one.name} value={one.path}>{one.name}</option>)}</datalist>
            </div>
            <TextField name="query" label="Query" rows={2} spellcheck={false} placeholder={'per_page=10'} value={query}
              hint="One name=value a line." onInput={(event) => setQuery(event.currentTarget.value)} />
            {takesBody(method) && (
              <TextField class="code" name="body" label="Body, JSON" rows={6} spellcheck={false} value={body} onInput={(event) => setBody(event.currentTarget.value)} />
            )}
            {call.error && <ErrorBox error={call.error} {...(call.error.isSilent && { onRetry: () => void call.run() })} />}
            <div class="form-actions"><Button kind="primary" type="submit" busy={call.busy} disabled={path === '' || draft.user === ''}>Send</Button>
              {call.busy && <span class="muted" role="status">Under way</span>}</div>
          </>
        )}
      </form>
      {call.error && <Upstream error={call.error} />}
      {answer && answer.of === serviceOf(draft) && <Shown answer={answer} />}
      {provider && path !== '' && (
        <Section title="The same for an agent" note="With a tenant token instead of your session.">
          <Commands label="The call" ways={callLines(draft, api.url('/'))} />
        </Section>
      )}
    </Page>
  );
}

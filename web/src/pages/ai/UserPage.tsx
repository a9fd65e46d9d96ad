// One user: spent and left, limits, and keys, each shown once.
import { useState } from 'preact/hooks';
import { api, type Schema } from '../../api/client';
import { invalidate, useAction, usePages, useQuery } from '../../api/query';
import { mayAdminister, mayOperate, useMe } from '../../api/session';
import type { PageProps } from '../../areas';
import { href, navigate, useParam, useShortcut } from '../../router';
import {
  Button, Chart, type Column, Commands, Confirm, Count, Dialog, Empty, ErrorBox, Field, Figures, forecast, Form, LinkButton, Menu, Meter, Money,
  Page, Pager, Secret, Section, Skeleton, State, Table, Time, toast, told, useSearch, wholeOf,
} from '../../ui';
import { modelKey } from '../../ui/lines';
import type { User } from './users';

type Key = Schema<'Key'>;

function KeyMade({ secret }: { secret: string }) {
  return (
    <>
      <Secret label="The key" text={secret} />
      <Commands label="Use the key" ways={{
        Python: `import os\nfrom openai import OpenAI\n\nclient = OpenAI(base_url="${api.url('/v1')}", api_key=os.environ["${modelKey}"])`,
        JS: `import OpenAI from 'openai';\n\nconst client = new OpenAI({ baseURL: '${api.url('/v1')}', apiKey: process.env.${modelKey} });`,
        curl: `curl -s ${api.url('/v1/chat/completions')} -H "Authorization: Bearer $${modelKey}" \\\n  -d '{"model":"…","messages":[{"role":"user","content":"Hello"}]}'`,
      }} />
    </>
  );
}

function KeyDialog({ user, rotated, onClose }: { user: string; rotated?: Key | undefined; onClose: () => void }) {
  const [secret, setSecret] = useState('');
  return (
    <Dialog title={rotated ? `Replace ${rotated.name}` : 'Create a key'} onClose={onClose}>
      {secret !== '' ? <KeyMade secret={secret} /> : (
        <Form submit={rotated ? 'Make a new key' : 'Create key'} onCancel={onClose} onSubmit={async ({ name = '', monthly_limit_usd = '', overlap_s = '0' }) => {
          const made = rotated
            ? await api.post('/admin/users/{user_id}/api-keys/{key_id}/rotate', { path: { user_id: user, key_id: rotated.key_id }, body: { overlap_s: Number(overlap_s) * 3600 } })
            : await api.post('/admin/users/{user_id}/api-keys', { path: { user_id: user }, body: { name, ...(monthly_limit_usd !== '' && { monthly_limit_usd }) } });
          setSecret(made.api_key);
          invalidate(`/admin/users/${user}/api-keys`);
        }}>
          {rotated ? <Field name="overlap_s" label="The old key works on for, hours" type="number" min={0} max={720} defaultValue={24} /> : (
            <><Field name="name" label="Name" required maxLength={100} placeholder="laptop" />
              <Field name="monthly_limit_usd" label="Its own budget a month, USD" inputMode="decimal" hint="Left empty, the user's." /></>
          )}
        </Form>
      )}
    </Dialog>
  );
}

function Keys({ user, may }: { user: string; may: boolean }) {
  const [create, setCreate] = useParam('create');
  const [rotated, setRotated] = useState<Key | undefined>();
  const search = useSearch('Filter by name');
  const keys = usePages<Key>(`/admin/users/${user}/api-keys?${search.q ?? ''}`, async (cursor, signal) => {
    const page = await api.ask<Schema<'UserKeyPage'>>('get', '/admin/users/{user_id}/api-keys', { path: { user_id: user }, query: { limit: 100, cursor, q: search.q }, signal });
    return { rows: page.data.api_keys, next: page.data.cursor };
  }, { idOf: (key) => key.key_id, pollMs: 30_000 });
  useShortcut('c', 'Create a key', may ? () => setCreate('key') : null);
  const revoke = (key: Key) =>
    told(`${key.name} (${key.key_prefix}) is revoked.`,
      () => api.delete('/admin/users/{user_id}/api-keys/{key_id}', { path: { user_id: user, key_id: key.key_id } }), `/admin/users/${user}/api-keys`);
  const columns: Column<Key>[] = [
    { key: 'name', label: 'Name', cell: (key) => <span dir="auto">{key.name}</span> },
    { key: 'hint', label: 'Key', cell: (key) => <code>{key.key_prefix}</code>, narrow: 'sub' },
    { key: 'status', label: 'State', cell: (key) => <State state={key.status} />, narrow: 'side' },
    { key: 'limit', label: 'Own budget', align: 'right', cell: (key) => <Money usd={key.monthly_limit_usd} />, narrow: 'hide' },
    { key: 'used', label: 'Last used', align: 'right', cell: (key) => <Time at={key.last_used_at} missing="never" />, narrow: 'hide' },
    {
      key: 'change', label: '', align: 'right', narrow: 'end',
      cell: (key) => key.status === 'active' && (
        <Menu label={`Change ${key.name}`} button="Change" kind="quiet" align="right" items={[
          { label: 'Its requests', href: href('/ai/requests', { key_id: key.key_id }) },
          ...(may ? [{ label: 'Replace', run: () => setRotated(key) }, { label: 'Revoke now', danger: true, run: () => void revoke(key) }] : []),
        ]} />
      ),
    },
  ];
  const button = may && <Button kind="primary" onClick={() => setCreate('key')}>Create a key</Button>;
  return (
    <Section title="Keys" action={button}>
      {search.bar(keys)}
      <Table label="Keys" rows={keys.rows} columns={columns} idOf={(key) => key.key_id} error={keys.error} onRetry={keys.refresh}
        empty={search.empty(keys, <Empty command={`kvcs admin key create ${user} --name laptop`}>Programs call models with a key of this user.</Empty>)} />
      <Pager shown={keys.rows?.length ?? 0} hasMore={keys.hasMore} busy={keys.busy} onMore={keys.more} />
      {create === 'key' && may && <KeyDialog user={user} onClose={() => setCreate('')} />}
      {rotated && <KeyDialog user={user} rotated={rotated} onClose={() => setRotated(undefined)} />}
    </Section>
  );
}

// What the fields show: they begin anew when that has changed, and not when something else has.
const shownLimits = (one: User): string =>
  JSON.stringify([one.monthly_limit_usd, one.requests_per_minute, one.tokens_per_minute, one.allowed_models]);

function Limits({ user }: { user: User }) {
  return (
    <Section title="Limits" note="Left empty, there is none of the user's own; those of the organization hold.">
      <Form submit="Save" onSubmit={async (values) => {
        const models = (values['allowed_models'] ?? '').split(',').map((one) => one.trim()).filter(Boolean);
        await api.patch('/admin/users/{user_id}', {
          path: { user_id: user.user_id },
          body: { monthly_limit_usd: values['monthly_limit_usd'] ?? '0', requests_per_minute: wholeOf(values['requests_per_minute'], 'requests_per_minute'),
            tokens_per_minute: wholeOf(values['tokens_per_minute'], 'tokens_per_minute'), allowed_models: models },
        });
        invalidate('/admin/users');
        toast('Saved.');
      }}>
        <Field name="monthly_limit_usd" label="Budget a month, USD" inputMode="decimal" required defaultValue={user.monthly_limit_usd} />
        <Field name="requests_per_minute" label="Requests a minute" inputMode="numeric" defaultValue={user.requests_per_minute ?? ''} />
        <Field name="tokens_per_minute" label="Tokens a minute" inputMode="numeric" defaultValue={user.tokens_per_minute ?? ''} />
        <Field name="allowed_models" label="Models" defaultValue={user.allowed_models.join(', ')} hint="Several with commas between; left empty, all." spellcheck={false} />
      </Form>
    </Section>
  );
}

function Months({ id }: { id: string }) {
  const { data, error, refresh } = useQuery(`/admin/users/${id}/usage/history`, (signal) => api.get('/admin/users/{user_id}/usage/history', { path: { user_id: id }, signal }));
  const months = [...(data?.months ?? [])].reverse();
  if (error && !data) return <ErrorBox error={error} onRetry={refresh} />;
  if (months.length === 0) return null;
  return (
    <Section title="By month">
      <Chart title="Spent by month" unit="usd" kind="bars" by="day" times={months.map((one) => Date.parse(`${one.month}-01T00:00:00Z`) / 1000)}
        series={[{ label: 'Spent', values: months.map((one) => one.usage_usd) }]} />
    </Section>
  );
}

export default function UserPage({ params }: PageProps) {
  const id = params['id'] ?? '';
  const me = useMe();
  const [asking, setAsking] = useState<'reset' | 'delete' | null>(null);
  const key = `/admin/users/${id}`;
  const user = useQuery(key, (signal) => api.get('/admin/users/{user_id}', { path: { user_id: id }, signal }));
  const use = useQuery(`${key}/usage`, (signal) => api.get('/admin/users/{user_id}/usage', { path: { user_id: id }, signal }), { pollMs: 10_000 });
  const change = useAction(async (status: 'active' | 'suspended') => {
    await api.patch('/admin/users/{user_id}', { path: { user_id: id }, body: { status } });
    invalidate('/admin/users');
    toast(status === 'suspended' ? 'Suspended: the keys are refused from now on.' : 'May call again.');
  });
  const back = { href: href('/ai/users'), label: 'Users and keys' };
  if (user.error && !user.data) return <Page title="User" back={back}><ErrorBox error={user.error} onRetry={user.refresh} /></Page>;
  if (!user.data) return <Page title="User" back={back}><Skeleton lines={5} /></Page>;
  const one = user.data;
  const active = one.status === 'active';
  const may = Boolean(me && mayAdminister(me, one.org_id));
  return (
    <Page title={one.email || one.user_id} back={back} state={<State state={one.status} tone={active ? 'good' : 'warn'} />}
      action={<LinkButton kind="primary" href={href('/ai/playground', { user: id })}>Chat as this user</LinkButton>}
      more={may && <Menu label="Change the user" button="Change" align="right" items={[
        ...(me && mayOperate(me) ? [{ label: 'Begin the month anew', run: () => setAsking('reset') }] : []),
        { label: active ? 'Suspend' : 'Let call again', run: () => void change.run(active ? 'suspended' : 'active') },
        { label: 'Delete', danger: true, run: () => setAsking('delete') },
      ]} />}>
      {change.error && <ErrorBox error={change.error} />}
      {use.data && (
        <Figures figures={[
          { label: `Spent in ${use.data.current_month}`, value: <Money usd={use.data.current_usage_usd} />, href: href('/ai/requests', { user_id: id, range: 'month' }),
            note: <Meter used={use.data.current_usage_usd} allowed={use.data.monthly_limit_usd} label="Budget" text={<>of <Money usd={use.data.monthly_limit_usd} /></>} /> },
          { label: 'At the month’s end', value: <Money usd={forecast(use.data.projected_usd)} />, note: 'if it goes on like this' },
          { label: 'Under way', value: <Money usd={use.data.reserved_usd} /> },
          { label: 'Requests', value: <Count n={use.data.request_count} />, href: href('/ai/requests', { user_id: id, range: 'month' }) },
          { label: 'Failed', value: <Count n={use.data.error_count} />, href: href('/ai/requests', { user_id: id, range: 'month', outcome: 'failed' }) },
        ]} />
      )}
      <Keys user={id} may={may} />
      {may && <Limits key={shownLimits(one)} user={one} />}
      <Months id={id} />
      {asking === 'reset' && (
        <Confirm title="Begin the month anew" action="Set spent to nothing" onClose={() => setAsking(null)} onConfirm={async () => {
          await api.post('/admin/users/{user_id}/reset-quota', { path: { user_id: id }, body: { reset_reason: 'asked for in the dashboard', scope: 'user' } });
          invalidate('/admin/users');
        }}>What the user has spent this month counts no longer; the organization's sum stays. The history keeps it.</Confirm>
      )}
      {asking === 'delete' && (
        <Confirm title={`Delete ${one.email}`} typed={one.email || one.user_id} action="Delete user" onClose={() => setAsking(null)} onConfirm={async () => {
          await api.delete('/admin/users/{user_id}', { path: { user_id: id }, query: { force: 'true' } });
          invalidate('/admin/users');
          navigate(href('/ai/users'));
        }}>The keys go with the user, at once. Records of what was spent stay.</Confirm>
      )}
    </Page>
  );
}

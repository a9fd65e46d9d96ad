// Who answers the calls: OpenAI, Anthropic, and whatever speaks as they do.
import { useState } from 'preact/hooks';
import { api, type Schema, wordsOf } from '../../api/client';
import { taken } from '../../api/free';
import { invalidate, useQuery } from '../../api/query';
import { mayOperate, useMe } from '../../api/session';
import { href } from '../../router';
import { Button, type Column, Confirm, counted, Dialog, Empty, Field, Form, LinkButton, Menu, Page, Select, State, Table, toast } from '../../ui';
import { type Provider, providerBody } from './provider';

type Kind = Provider['kind'];
const path = '/admin/ai/providers';
const kinds: { value: Kind; label: string }[] = [
  { value: 'openai', label: 'OpenAI' }, { value: 'anthropic', label: 'Anthropic' }, { value: 'openai_compatible', label: 'another that speaks as OpenAI' },
];

// Asks the provider for its models with the stored key; nothing is charged.
async function check(provider: Provider): Promise<void> {
  const about = `${path}/${provider.name}/test`;
  try {
    const { data } = await api.ask<Schema<'ProviderChecked'>>('post', '/admin/ai/providers/{name}/test', { path: { name: provider.name }, body: {} });
    toast(data.ok ? `${provider.name} takes the key${typeof data.models === 'number' ? `: ${counted(data.models, 'model')}` : ''}, in ${data.duration_ms} ms.`
      : `${provider.name}: ${data.error ?? 'the check failed'}`, { about, ...(!data.ok && { tone: 'bad' }) });
  } catch (error) {
    toast(wordsOf(error), { about, tone: 'bad' });
  }
}

// A provider of one's own may take calls without a key; these two take none.
const needsKey = ({ kind }: Pick<Provider, 'kind'>): boolean => kind !== 'openai_compatible';
export function stateWords(providers: Pick<Provider, 'kind' | 'has_api_key'>[]): string {
  const keyless = providers.filter((one) => needsKey(one) && !one.has_api_key).length;
  const without = keyless === 0 ? '' : keyless === 1 ? '; 1 has no key and answers no call' : `; ${keyless} have no key and answer no call`;
  return `${counted(providers.length, 'model provider')}${without}`;
}

function ProviderDialog({ provider, names, onClose }: { provider: Provider | null; names: string[]; onClose: () => void }) {
  const [kind, setKind] = useState<Kind>(provider?.kind ?? 'openai');
  const known = kind !== 'openai_compatible';
  return (
    <Dialog title={provider ? `Change ${provider.name}` : 'Add a model provider'} onClose={onClose}>
      <Form submit="Save" onCancel={onClose} onSubmit={async ({ name = '', base_url = '', api_key = '', models = '' }) => {
        const list = models.split(',').map((one) => one.trim()).filter(Boolean);
        const made = name.trim() || kind;
        if (!provider && names.includes(made)) throw taken('name', made);
        await api.put('/admin/ai/providers/{name}', {
          path: { name: provider?.name ?? made },
          body: providerBody(provider, { kind, base_url, api_key, models: list }),
        });
        invalidate(path);
        const keyed = api_key !== '' || provider?.has_api_key === true;
        toast(keyed ? 'Saved. Whether the provider takes the key shows the first call.'
          : needsKey({ kind }) ? 'Saved without a key: it answers no call before it has one.' : 'Saved without a key.');
        onClose();
      }}>
        {!provider && <Select name="kind" label="Speaks as" value={kind} onChange={(to) => setKind(to as Kind)} choices={kinds} />}
        {!provider && <Field name="name" label="Name" maxLength={64} required={!known} placeholder={known ? kind : 'groq'} spellcheck={false} />}
        <Field name="base_url" label="Address" type="url" required={!known && !provider} {...(provider && { defaultValue: provider.base_url })}
          placeholder={kind === 'anthropic' ? 'https://api.anthropic.com' : 'https://api.openai.com/v1'} />
        <Field name="api_key" label="API key" masked hint={provider?.has_api_key ? 'One is stored; left empty, it stays.' : 'Stored sealed, and never shown.'} />
        <Field name="models" label="Models" spellcheck={false} hint="Several with commas between. Left empty: those with a price that the kind knows."
          {...(provider && { defaultValue: provider.models.join(', ') })} />
      </Form>
    </Dialog>
  );
}

export default function ProvidersPage() {
  const me = useMe();
  const [edited, setEdited] = useState<Provider | 'new' | null>(null);
  const [removed, setRemoved] = useState<Provider | null>(null);
  const { data, error, refresh } = useQuery(path, async (signal) => (await api.get(path, { signal })).providers);
  const may = Boolean(me && mayOperate(me));
  const columns: Column<Provider>[] = [
    { key: 'name', label: 'Name', cell: (one) => one.name },
    { key: 'kind', label: 'Speaks as', cell: (one) => kinds.find((kind) => kind.value === one.kind)?.label ?? one.kind, narrow: 'hide' },
    { key: 'address', label: 'Address', cell: (one) => <code>{one.base_url}</code>, narrow: 'sub' },
    { key: 'key', label: 'Key', cell: (one) => (one.has_api_key ? <State state="stored" tone="good" /> : <State state="none" tone="warn" />), narrow: 'side' },
    { key: 'models', label: 'Models', align: 'right', cell: (one) => (one.models.length === 0 ? 'all that are priced' : one.models.length), narrow: 'hide' },
  ];
  if (may) {
    columns.push({
      key: 'change', label: '', align: 'right', narrow: 'end',
      cell: (one) => (
        <Menu label={`Change ${one.name}`} button="Change" kind="quiet" align="right" items={[
          { label: 'Try its key', run: () => void check(one) },
          { label: 'Its requests', href: href('/ai/requests', { provider: one.name }) },
          { label: 'Change', run: () => setEdited(one) },
          { label: 'Remove', danger: true, run: () => setRemoved(one) },
        ]} />
      ),
    });
  }
  const create = may && <Button kind="primary" onClick={() => setEdited('new')}>Add a model provider</Button>;
  return (
    <Page title="Model providers" action={create} more={<LinkButton href={href('/ai/playground')}>Try a call</LinkButton>}
      state={data && stateWords(data)}>
      <Table label="Model providers" rows={data} columns={columns} idOf={(one) => one.name} error={error} onRetry={refresh}
        empty={<Empty action={create} command="kvcs admin provider set openai --kind openai --api-key-env OPENAI_API_KEY">Models are called at a provider with a key that stays here.</Empty>} />
      {edited && <ProviderDialog provider={edited === 'new' ? null : edited} names={data?.map((one) => one.name) ?? []} onClose={() => setEdited(null)} />}
      {removed && (
        <Confirm title={`Remove ${removed.name}`} typed={removed.name} action="Remove" onClose={() => setRemoved(null)} onConfirm={async () => {
          await api.delete('/admin/ai/providers/{name}', { path: { name: removed.name } });
          invalidate(path);
        }}>Its key is deleted. Calls of its models are refused from now on.</Confirm>
      )}
    </Page>
  );
}

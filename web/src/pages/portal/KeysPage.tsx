// The API keys of the active project and of the organization: made, rotated and revoked.
import { useState } from 'preact/hooks';
import { api, type Schema } from '../../api/client';
import { invalidate, usePages } from '../../api/query';
import { mayManage, useMe } from '../../api/session';
import { useShortcut } from '../../router';
import {
  Button, type Column, Commands, Dialog, Empty, Field, Form, Menu, Page, Pager, Secret, Select, Table, Time, told, useSearch,
} from '../../ui';
import { keyAsk } from './asks';

type Key = Schema<'OwnKey'>;
const path = '/api/v1/api-keys';
// What may be asked of a key that is replaced: how long the old one works on.
const overlaps = [
  { value: '0', label: 'ends at once' }, { value: '3600', label: 'works on for an hour' },
  { value: '86400', label: 'works on for a day' }, { value: '604800', label: 'works on for a week' },
];

function Made({ secret }: { secret: string }) {
  return (
    <>
      <Secret label="The key" text={secret} />
      <Commands label="Use the key" ways={{
        CLI: `export KVCS_API_URL=${api.url('/').replace(/\/$/, '')}\nexport KVCS_API_KEY=…   # the key\nkvcs whoami`,
        curl: `curl -H "Authorization: Bearer $KVCS_API_KEY" ${api.url('/api/v1/artifacts')}`,
      }} />
    </>
  );
}

function CreateDialog({ onClose, wide }: { onClose: () => void; wide: boolean }) {
  const [secret, setSecret] = useState('');
  return (
    <Dialog title="Create a key" onClose={onClose}>
      {secret !== '' ? <Made secret={secret} /> : (
        <Form submit="Create key" onCancel={onClose} onSubmit={async (values) => {
          const made = await api.post(path, { body: keyAsk(values) });
          setSecret(made.api_key);
          invalidate(path);
        }}>
          <Field name="name" label="Name" required maxLength={200} placeholder="laptop" hint="Where the key will be used." />
          <Select name="permissions" label="May" value="write"
            choices={[{ value: 'write', label: 'read and write' }, { value: 'read', label: 'read' }]} />
          {wide && (
            <Select name="project_id" label="Reaches" value="project" choices={[
              { value: 'project', label: 'the active project' }, { value: 'organization', label: 'all projects of the organization' }]} />
          )}
          <Field name="expires_at" label="Works until the end of" type="date" hint="Left empty, until it is revoked. Days are in UTC." />
        </Form>
      )}
    </Dialog>
  );
}

function RotateDialog({ subject, onClose }: { subject: Key; onClose: () => void }) {
  const [secret, setSecret] = useState('');
  return (
    <Dialog title={`Replace ${subject.name}`} onClose={onClose}>
      {secret !== '' ? <Made secret={secret} /> : (
        <Form submit="Make a new key" onCancel={onClose} onSubmit={async ({ overlap_s = '0' }) => {
          const made = await api.post('/api/v1/api-keys/{key_id}/rotate', {
            path: { key_id: subject.id }, body: { overlap_s: Number(overlap_s) },
          });
          setSecret(made.api_key);
          invalidate(path);
        }}>
          <p>A new key with the same rights takes its place.</p>
          <Select name="overlap_s" label="The old key" value="86400" choices={overlaps} />
        </Form>
      )}
    </Dialog>
  );
}

export default function KeysPage() {
  const me = useMe();
  const [creating, setCreating] = useState(false);
  const [rotated, setRotated] = useState<Key | null>(null);
  const search = useSearch('Filter by name');
  const keys = usePages<Key>(`${path}?${search.q ?? ''}`, async (cursor, signal) => {
    const page = await api.get(path, { query: { ...(cursor !== undefined && { cursor }), ...(search.q !== undefined && { q: search.q }) }, signal });
    return { rows: page.keys, next: page.cursor };
  }, { idOf: (key) => key.id, pollMs: 30_000 });
  const revoke = (key: Key) =>
    told(`${key.name} (${key.hint}) is revoked.`, () => api.delete('/api/v1/api-keys/{key_id}', { path: { key_id: key.id } }), path);
  const manages = Boolean(me && mayManage(me));
  useShortcut('c', 'Create a key', manages ? () => setCreating(true) : null);
  const columns: Column<Key>[] = [
    { key: 'name', label: 'Name', cell: (key) => <span dir="auto">{key.name}</span> },
    {
      key: 'hint', label: 'Key', narrow: 'sub',
      cell: (key) => <><code>{key.hint}</code>{key.previous && <span class="muted small"> and {key.previous.hint} until <Time at={key.previous.expires_at} /></span>}</>,
    },
    { key: 'may', label: 'May', cell: (key) => key.permissions.join(', '), narrow: 'hide' },
    { key: 'reach', label: 'Reaches', cell: (key) => (key.project_id === null ? 'the organization' : 'the project'), narrow: 'hide' },
    { key: 'used', label: 'Last used', cell: (key) => <Time at={key.last_used_at} missing="never" />, narrow: 'side' },
    { key: 'ends', label: 'Ends', align: 'right', cell: (key) => <Time at={key.expires_at} missing="when revoked" />, narrow: 'hide' },
  ];
  if (manages) {
    columns.push({
      key: 'change', label: '', align: 'right', narrow: 'end',
      cell: (key) => (
        <Menu label={`Change ${key.name}`} button="Change" kind="quiet" align="right" items={[
          { label: 'Replace', run: () => setRotated(key) },
          { label: 'Revoke now', danger: true, run: () => void revoke(key) },
        ]} />
      ),
    });
  }
  const create = manages && <Button kind="primary" onClick={() => setCreating(true)}>Create a key</Button>;
  return (
    <Page title="API keys" action={create}
      state={keys.rows && search.q === undefined && <>{keys.rows.length}{keys.hasMore && '+'} {keys.rows.length === 1 ? 'key reaches' : 'keys reach'} the active project</>}>
      {search.bar(keys)}
      <Table label="API keys" rows={keys.rows} columns={columns} idOf={(key) => key.id} error={keys.error} onRetry={keys.refresh}
        empty={search.empty(keys, <Empty action={create} command="kvcs key create laptop">Programs reach your artifacts with a key.</Empty>)} />
      <Pager shown={keys.rows?.length ?? 0} hasMore={keys.hasMore} busy={keys.busy} onMore={keys.more} />
      {creating && <CreateDialog wide={manages} onClose={() => setCreating(false)} />}
      {rotated && <RotateDialog subject={rotated} onClose={() => setRotated(null)} />}
    </Page>
  );
}

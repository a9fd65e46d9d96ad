// The records of the key-value store by the beginning of their names; what is secret is never shown.
import { api, type Schema } from '../../api/client';
import { usePages, useQuery } from '../../api/query';
import { setParams, useParam, usePlace, withParams } from '../../router';
import { Bytes, type Column, Copy, Dialog, Empty, ErrorBox, Facts, FilterBar, Notice, Page, Pager, Skeleton, Table, Time, prettyJson } from '../../ui';

type Key = Schema<'KvKey'>;
const families = ['auth', 'config', 'tokens', 'quota', 'system', 'outbox'];

function Value({ family, name }: { family: string; name: string }) {
  const path = '/admin/kv/{family}/values/{key}';
  const { data, error } = useQuery(`${path}#${family}/${name}`, (signal) => api.get(path, { path: { family, key: name }, signal }));
  return (
    <Dialog title={name} side wide onClose={() => setParams({ key: null, of: null })}>
      {error && <ErrorBox error={error} />}
      {!data && !error && <Skeleton />}
      {data && (
        <>
          <Facts facts={[
            { label: 'Family', value: family },
            { label: 'Size', value: <Bytes bytes={data.size_bytes} /> },
            { label: 'Ends', value: <Time at={data.expiration === undefined ? null : data.expiration * 1000} missing="never" /> },
          ]} />
          {data.hidden ? <Notice tone="warn">The value is secret: it leaves the daemon on no way.</Notice> : (
            <>
              <pre class="wrap" tabIndex={0} aria-label="The value">{data.base64 ? data.value : prettyJson(data.value ?? '')}</pre>
              <Copy text={data.value ?? ''} label="the value" />{data.base64 && <span class="muted"> in base64</span>}
            </>
          )}
        </>
      )}
    </Dialog>
  );
}

export default function KvPage() {
  const place = usePlace(), { query } = place;
  const [prefix] = useParam('prefix');
  const [family] = useParam('family');
  const chosen = query.get('key');
  const keys = usePages<Key>(`/admin/kv?${family}/${prefix}`, async (cursor, signal) => {
    const asked = { prefix, limit: 100, cursor };
    const page = family === ''
      ? (await api.ask<Schema<'KvKeys'>>('get', '/admin/kv', { query: asked, signal })).data
      : (await api.ask<Schema<'KvKeys'>>('get', '/admin/kv/{family}/keys', { path: { family }, query: asked, signal })).data;
    return { rows: page.keys, next: page.cursor };
  });
  const columns: Column<Key>[] = [
    { key: 'name', label: 'Name', cell: (one) => <code class="clip long">{one.name}</code> },
    { key: 'family', label: 'Family', cell: (one) => one.family ?? family, narrow: 'sub' },
    { key: 'size', label: 'Size', align: 'right', cell: (one) => <Bytes bytes={one.size_bytes} />, narrow: 'side' },
    { key: 'ends', label: 'Ends', align: 'right', cell: (one) => <Time at={one.expiration === undefined ? null : one.expiration * 1000} missing="never" />, narrow: 'hide' },
  ];
  return (
    <Page title="Key-value store" state="Records as they are stored; what is secret stays hidden">
      <FilterBar search="prefix" placeholder="Names that begin with…" filters={[{
        name: 'family', label: 'family', choices: [{ value: '', label: 'all' }, ...families.map((one) => ({ value: one, label: one }))],
      }]} />
      <Table label="Records" rows={keys.rows} columns={columns} idOf={(one) => `${one.family ?? family}/${one.name}`} linkOf={(one) => withParams(place, { key: one.name, of: one.family ?? family })}
        error={keys.error} onRetry={keys.refresh}
        empty={<Empty command="kvcs kv list --prefix org:">No record's name begins so.</Empty>} />
      <Pager shown={keys.rows?.length ?? 0} hasMore={keys.hasMore} busy={keys.busy} onMore={keys.more} />
      {chosen !== null && <Value family={query.get('of') ?? family} name={chosen} />}
    </Page>
  );
}

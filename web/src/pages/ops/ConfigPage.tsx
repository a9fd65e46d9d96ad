// The configuration as it holds, and where each value comes from; secrets are told as set or not.
import { api, type Schema } from '../../api/client';
import { useQuery } from '../../api/query';
import { useParam } from '../../router';
import { Badge, type Column, Command, FilterBar, Page, Table } from '../../ui';

type Setting = Schema<'Setting'>;
const path = '/admin/config';
const shown = (value: Setting['value']): string => (Array.isArray(value) ? value.join(', ') : String(value));

const columns: Column<Setting>[] = [
  { key: 'name', label: 'Setting', cell: (one) => <code>{one.name}</code> },
  { key: 'value', label: 'Value', cell: (one) => <span class="clip" dir="auto" title={shown(one.value)}>{shown(one.value) || '–'}</span>, narrow: 'sub' },
  { key: 'source', label: 'From', cell: (one) => <Badge tone={one.source === 'default' ? 'none' : 'info'}>{one.source}</Badge>, narrow: 'side' },
  { key: 'help', label: 'What it does', cell: (one) => <span class="muted small" dir="auto">{one.help}</span>, narrow: 'hide' },
];

export default function ConfigPage() {
  const [q] = useParam('q');
  const [source] = useParam('source');
  const { data, error, refresh } = useQuery(path, async (signal) => (await api.ask<Schema<'Configuration'>>('get', path, { signal })).data.config);
  const words = q.toLocaleLowerCase();
  const rows = data?.filter((one) => (source === '' || one.source === source)
    && `${one.name} ${one.help} ${shown(one.value)}`.toLocaleLowerCase().includes(words));
  const changed = data?.filter((one) => one.source !== 'default').length ?? 0;
  return (
    <Page title="Configuration" state={data && <>{changed} of {data.length} settings are not the default</>}>
      <FilterBar search="q" placeholder="Filter by name, value or words" filters={[{
        name: 'source', label: 'from', choices: [{ value: '', label: 'anywhere' },
          ...['file', 'environment', 'argument', 'default'].map((one) => ({ value: one, label: one }))],
      }]} />
      <Table label="Settings" rows={rows} columns={columns} idOf={(one) => one.name} error={error} onRetry={refresh} />
      <Command label="the same on the command line" lines={['kvcs config print']} />
    </Page>
  );
}

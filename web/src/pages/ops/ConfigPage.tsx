// The configuration as it holds, and where each value comes from; secrets are told as set or not.
import { api, type Schema } from '../../api/client';
import { useQuery } from '../../api/query';
import { href, setParams, useParam } from '../../router';
import { Badge, type Column, Command, counted, Dialog, Facts, FilterBar, Page, Table } from '../../ui';

type Setting = Schema<'Setting'>;
const path = '/admin/config';
const shown = (value: Setting['value']): string => (Array.isArray(value) ? value.join(', ') : String(value));

const columns: Column<Setting>[] = [
  { key: 'name', label: 'Setting', cell: (one) => <code>{one.name}</code> },
  { key: 'value', label: 'Value', cell: (one) => <span class="clip" dir="auto" title={shown(one.value)}>{shown(one.value) || '–'}</span>, narrow: 'sub' },
  { key: 'source', label: 'From', cell: (one) => <Badge tone={one.source === 'default' ? 'none' : 'info'}>{one.source}</Badge>, narrow: 'side' },
  { key: 'help', label: 'What it does', cell: (one) => <span class="muted small" dir="auto">{one.help}</span>, wraps: true, narrow: 'hide' },
];

// All of one setting, also where the list has no room for it.
function Detail({ setting }: { setting: Setting }) {
  return (
    <Dialog title={setting.name} side onClose={() => setParams({ setting: null })}>
      <p dir="auto">{setting.help}</p>
      <Facts facts={[
        { label: 'Value', value: <span class="wrap" dir="auto">{shown(setting.value) || '–'}</span> },
        { label: 'From', value: setting.source },
      ]} />
    </Dialog>
  );
}

export default function ConfigPage() {
  const [q] = useParam('q');
  const [source] = useParam('source');
  const { data, error, refresh } = useQuery(path, async (signal) => (await api.ask<Schema<'Configuration'>>('get', path, { signal })).data.config);
  const [name] = useParam('setting');
  const chosen = data?.find((one) => one.name === name);
  const words = q.toLocaleLowerCase();
  const rows = data?.filter((one) => (source === '' || one.source === source)
    && `${one.name} ${one.help} ${shown(one.value)}`.toLocaleLowerCase().includes(words));
  const changed = data?.filter((one) => one.source !== 'default').length ?? 0;
  return (
    <Page title="Configuration" state={data && <>{changed} of {counted(data.length, 'setting')} {changed === 1 ? 'is' : 'are'} not the default</>}>
      <FilterBar search="q" placeholder="Filter by name, value or words" filters={[{
        name: 'source', label: 'from', choices: [{ value: '', label: 'anywhere' },
          ...['file', 'environment', 'argument', 'default'].map((one) => ({ value: one, label: one }))],
      }]} />
      <Table label="Settings" rows={rows} columns={columns} idOf={(one) => one.name} error={error} onRetry={refresh}
        linkOf={(one) => href('/ops/config', { q, source, setting: one.name })} />
      {chosen && <Detail setting={chosen} />}
      <Command label="the same on the command line" lines={['kvcs config print']} />
    </Page>
  );
}

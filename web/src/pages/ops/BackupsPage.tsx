// The backups that are there, how the last runs went, and a new one.
import { api, type Schema } from '../../api/client';
import { invalidate, useAction, useQuery } from '../../api/query';
import { mayOperate, useMe } from '../../api/session';
import { href } from '../../router';
import { Button, Bytes, type Column, Count, Empty, ErrorBox, LinkButton, Notice, Page, Table, Time, toast } from '../../ui';

type Backup = Schema<'Backup'>;
const path = '/admin/backups';
const columns: Column<Backup>[] = [
  { key: 'made', label: 'Made', cell: (one) => <Time at={one.made_at} /> },
  { key: 'name', label: 'Name', cell: (one) => <code class="clip">{one.name}</code>, narrow: 'sub' },
  { key: 'files', label: 'Records', align: 'right', cell: (one) => <Bytes bytes={one.files_bytes} />, narrow: 'hide' },
  { key: 'blobs', label: 'Artifacts', align: 'right', cell: (one) => <><Count n={one.blobs} />, <Bytes bytes={one.blobs_bytes} /></>, narrow: 'side' },
  { key: 'linked', label: 'Bytes in it', cell: (one) => (one.blobs_linked ? 'yes' : 'no, named in blobs.list'), narrow: 'hide' },
  { key: 'version', label: 'By version', align: 'right', cell: (one) => one.version, narrow: 'hide' },
];

export default function BackupsPage() {
  const me = useMe();
  const { data, error, refresh } = useQuery(path, async (signal) =>
    (await api.ask<Schema<'BackupList'>>('get', path, { signal })).data, { pollMs: 5000 });
  const begin = useAction(async () => {
    const { started } = await api.post('/admin/backup');
    toast(started ? 'A backup has begun.' : 'A backup runs already.');
    invalidate(path);
  });
  const off = data !== undefined && data.directory === null;
  const last = data?.backups.reduce<string>((latest, one) => (one.made_at > latest ? one.made_at : latest), '');
  const make = me && mayOperate(me) && !off && <Button kind="primary" busy={begin.busy} onClick={() => void begin.run()}>Make a backup now</Button>;
  return (
    <Page title="Backups" action={make} more={<LinkButton href={href('/ops/runs', { job: 'backup' })}>Past runs</LinkButton>}
      state={data && !off && (last ? <>The last one is of <Time at={last} />; the newest {data.keep} stay, in {data.directory}</> : 'None was made yet')}>
      {off && <Notice tone="warn">No backups are made: <code>backup.directory</code> is not set.</Notice>}
      {begin.error && <ErrorBox error={begin.error} />}
      {!off && (
        <Table label="Backups" rows={data?.backups} columns={columns} idOf={(one) => one.name} error={error} onRetry={refresh}
          empty={<Empty action={make} command="kvcs admin jobs --run backup">A backup is a whole data directory: kvcs serve starts on a copy of it.</Empty>} />
      )}
    </Page>
  );
}

// Recently deleted artifacts: each is brought back, or ends now.
import { useState } from 'preact/hooks';
import { useAction } from '../../api/query';
import { mayWrite, useMe } from '../../api/session';
import { href } from '../../router';
import {
  Button,
  Bytes,
  type Column,
  counted,
  Empty,
  ErrorBox,
  NewRows,
  Page,
  Pager,
  Table,
  Time,
  toast,
} from '../../ui';
import { restoreAll } from './change';
import { DeleteForGoodDialog } from './DeleteDialog';
import { type Deleted, useDeleted } from './deleted';

const columns: Column<Deleted>[] = [
  {
    key: 'name',
    label: 'Name',
    cell: (one) => (
      <span class="artifact-name" dir="auto" title={one.name}>
        {one.name}
      </span>
    ),
  },
  {
    key: 'model',
    label: 'Model',
    cell: (one) => <span dir="auto">{one.model_name}</span>,
    narrow: 'sub',
  },
  {
    key: 'project',
    label: 'Project',
    cell: (one) => <span dir="auto">{one.project}</span>,
    narrow: 'hide',
  },
  {
    key: 'size',
    label: 'Size',
    align: 'right',
    cell: (one) => <Bytes bytes={one.size_bytes} />,
    narrow: 'side',
  },
  {
    key: 'deleted',
    label: 'Deleted',
    align: 'right',
    cell: (one) => <Time at={one.deleted_at} />,
    narrow: 'hide',
  },
  {
    key: 'ends',
    label: 'Kept until',
    align: 'right',
    cell: (one) => <Time at={one.ends_at} />,
    narrow: 'hide',
  },
];

export default function DeletedPage() {
  const me = useMe();
  const writes = Boolean(me && mayWrite(me));
  const list = useDeleted();
  const [ending, setEnding] = useState<Deleted | null>(null);
  const back = useAction(async (one: Deleted) => {
    await restoreAll([one.artifact_id]);
    toast(`${one.name} is there again. It is private.`);
  });
  const ways: Column<Deleted> = {
    key: 'ways',
    label: '',
    align: 'right',
    narrow: 'end',
    cell: (one) => (
      <>
        <Button label={`Restore ${one.name}`} busy={back.busy} onClick={() => void back.run(one)}>
          Restore
        </Button>{' '}
        <Button
          kind="quiet"
          label={`Delete for good: ${one.name}`}
          onClick={() => setEnding(one)}
        >
          Delete for good
        </Button>
      </>
    ),
  };
  return (
    <Page
      title="Recently deleted"
      back={{ href: href('/artifacts'), label: 'Artifacts' }}
      state={list.total !== undefined && `${counted(list.total, 'artifact')}, which ${list.total === 1 ? 'counts' : 'count'} for no quota`}
    >
      {back.error && <ErrorBox error={back.error} />}
      <NewRows count={list.fresh} onShow={list.refresh} />
      <Table
        label="Recently deleted"
        rows={list.rows}
        columns={writes ? [...columns, ways] : columns}
        idOf={(one) => one.artifact_id}
        error={list.error}
        onRetry={list.refresh}
        empty={
          <Empty command={['kvcs deleted', 'kvcs restore ID']}>
            Nothing was deleted lately. What is deleted stands here for a while and can be brought
            back.
          </Empty>
        }
      />
      <Pager
        shown={list.rows?.length ?? 0}
        total={list.total}
        hasMore={list.hasMore}
        busy={list.busy}
        onMore={list.more}
      />
      {ending && (
        <DeleteForGoodDialog
          all={[ending]}
          onClose={() => setEnding(null)}
          onDone={() => toast('It is deleted for good.')}
        />
      )}
    </Page>
  );
}

// The organization's artifacts: found by words, filtered and sorted by the daemon; dropped files are
// uploaded.
import { useState } from 'preact/hooks';
import { api } from '../../api/client';
import { useAction, usePages } from '../../api/query';
import { mayWrite, useMe } from '../../api/session';
import { href, setParams, useParam, usePlace, useSelection } from '../../router';
import { useStore } from '../../store';
import { Button, Empty, FilterBar, LinkButton, NewRows, Page, Pager, Table } from '../../ui';
import { changeVisibility, listPath } from './change';
import { DeleteDialog } from './DeleteDialog';
import { DropAnywhere } from './DropAnywhere';
import { columns, Fullness, useFilters } from './list-parts';
import { useProjects } from './projects';
import { UploadButton, UploadTray } from './UploadTray';
import { uploads } from './uploads';
import type { Artifact, Visibility } from './words';

const pageRows = 200;
const filterNames = ['q', 'model', 'visibility', 'status', 'project', 'sha256'];
// What the address asks for, and the rows of it. `least`: there are more than were counted.
function useList(sort: string) {
  const { query } = usePlace();
  const [least, setLeast] = useState(false);
  const asked = Object.fromEntries(filterNames.map((name) => [name, query.get(name) ?? '']));
  const list = usePages<Artifact>(
    `${listPath}?${new URLSearchParams({ ...asked, sort })}`,
    async (cursor, signal) => {
      const page = await api.get(listPath, {
        query: { ...asked, sort, limit: pageRows, cursor },
        signal,
      });
      setLeast(page.total_is_least === true);
      return { rows: page.artifacts, next: page.continuation_token, total: page.total };
    },
    { idOf: (one) => one.artifact_id, pollMs: 30_000 },
  );
  return { asked, list, least };
}

// What can be done with the rows that are chosen.
function Bulk({
  rows,
  writes,
  onDelete,
}: {
  rows: Artifact[];
  writes: boolean;
  onDelete: (rows: Artifact[]) => void;
}) {
  const [a, b] = rows;
  const change = useAction((to: Visibility) => changeVisibility(rows, to));
  const compared = rows.length === 2 && a && b && { a: a.artifact_id, b: b.artifact_id };
  return (
    <>
      {compared && <LinkButton href={href('/artifacts/compare', compared)}>Compare</LinkButton>}
      {writes && (
        <>
          <Button busy={change.busy} onClick={() => void change.run('public')}>
            Make public
          </Button>
          <Button busy={change.busy} onClick={() => void change.run('private')}>
            Make private
          </Button>
          <Button kind="danger" onClick={() => onDelete(rows)}>
            Delete
          </Button>
        </>
      )}
    </>
  );
}

const ShowAll = () => (
  <Button onClick={() => setParams(Object.fromEntries(filterNames.map((name) => [name, null])))}>
    Show all
  </Button>
);

export default function ListPage() {
  const me = useMe();
  const [sort, setSort] = useParam('sort', '-created');
  const [chosen, choose] = useSelection();
  const [deleting, setDeleting] = useState<Artifact[]>([]);
  const { asked, list, least } = useList(sort);
  const projects = useProjects();
  const filters = useFilters(projects.map((one) => one.slug));
  const writes = Boolean(me && mayWrite(me));
  const isFiltered = Object.values(asked).some((text) => text !== '');
  const hasUploads = useStore(uploads).length > 0;
  const rowsOf = (ids: string[]) => {
    const wanted = new Set(ids);
    return list.rows?.filter((one) => wanted.has(one.artifact_id)) ?? [];
  };
  return (
    <Page
      title="Artifacts"
      state={<Fullness total={list.total} least={least} />}
      action={writes && <UploadButton />}
    >
      {writes && <DropAnywhere />}
      {writes && <UploadTray />}
      <FilterBar search="q" placeholder="Find by name, description or tag" filters={filters} />
      <NewRows count={hasUploads ? 0 : list.fresh} onShow={list.refresh} />
      <Table
        label="Artifacts"
        rows={list.rows}
        columns={columns}
        idOf={(one) => one.artifact_id}
        error={list.error}
        onRetry={list.refresh}
        nameOf={(one) => one.name}
        linkOf={(one) => href(`/artifacts/${one.artifact_id}`)}
        sort={sort}
        onSort={setSort}
        selected={chosen}
        onSelect={choose}
        bulk={(ids) => <Bulk rows={rowsOf(ids)} writes={writes} onDelete={setDeleting} />}
        empty={
          isFiltered ? (
            <Empty action={<ShowAll />}>No artifact fits.</Empty>
          ) : (
            <Start writes={writes} />
          )
        }
      />
      <Pager
        shown={list.rows?.length ?? 0}
        total={list.total}
        hasMore={list.hasMore}
        busy={list.busy}
        onMore={list.more}
      />
      {deleting.length > 0 && (
        <DeleteDialog all={deleting} onClose={() => setDeleting([])} onDone={() => choose([])} />
      )}
    </Page>
  );
}

function Start({ writes }: { writes: boolean }) {
  if (!writes)
    return (
      <Empty>Here stand the KV caches that the organization keeps. Your role may read them.</Empty>
    );
  return (
    <Empty
      command={['kvcs sample demo.kv   # a small one to try', 'kvcs upload demo.kv --name demo']}
    >
      An artifact is the KV cache of a text, computed once and shared. Drop a .kv file anywhere on
      this page, or choose Upload.
    </Empty>
  );
}

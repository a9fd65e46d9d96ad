// What organizations give to everybody; also for those who have not signed in.
import { api } from '../../api/client';
import { usePages } from '../../api/query';
import { useMe } from '../../api/session';
import { href, setParams, useParam } from '../../router';
import {
  Badge,
  Bytes,
  Button,
  Code,
  type Column,
  Commands,
  Copy,
  Count,
  Dialog,
  Empty,
  Facts,
  FilterBar,
  LinkButton,
  Page,
  Pager,
  Table,
  Time,
} from '../../ui';
import { waysToFetch } from './ways';
import { type PublicArtifact, schemeOf } from './words';

const path = '/api/v1/catalogue';
const columns: Column<PublicArtifact>[] = [
  {
    key: 'name',
    label: 'Name',
    sort: 'name',
    cell: (one) => (
      <span class="artifact-name" title={one.name}>
        {one.name}
      </span>
    ),
  },
  {
    key: 'model',
    label: 'Model',
    cell: (one) => (
      <span class="artifact-model" dir="auto">
        {one.model_name}
      </span>
    ),
    narrow: 'sub',
  },
  {
    key: 'of',
    label: 'From',
    cell: (one) => (
      <span dir="auto">
        {one.organization} / {one.project}
      </span>
    ),
    narrow: 'hide',
  },
  {
    key: 'tokens',
    label: 'Tokens',
    align: 'right',
    cell: (one) => <Count n={one.num_tokens} />,
    narrow: 'hide',
  },
  {
    key: 'size',
    label: 'Size',
    sort: 'size',
    align: 'right',
    cell: (one) => <Bytes bytes={one.size_bytes} />,
    narrow: 'side',
  },
  {
    key: 'downloads',
    label: 'Downloads',
    sort: 'downloads',
    align: 'right',
    cell: (one) => <Count n={one.downloads} />,
    narrow: 'hide',
  },
  {
    key: 'created',
    label: 'Made',
    sort: 'created',
    align: 'right',
    cell: (one) => <Time at={one.created_at} />,
    narrow: 'end',
  },
];

function One({ one, onClose }: { one: PublicArtifact; onClose: () => void }) {
  return (
    <Dialog title={one.name} side onClose={onClose}>
      <div class="catalogue-one">
        {one.description !== '' && (
          <p dir="auto" class="artifact-description">
            {one.description}
          </p>
        )}
        {one.tags.length > 0 && (
          <p class="tags">
            {one.tags.map((tag) => (
              <a key={tag} href={href('/catalogue', { q: tag })}>
                <Badge>
                  <span dir="auto">{tag}</span>
                </Badge>
              </a>
            ))}
          </p>
        )}
        <p class="secret-row">
          <a class="button primary" href={one.public_url} download="">
            Download
          </a>
          <Copy text={one.public_url} label="its address">
            Copy its address
          </Copy>
        </p>
        <Facts
          facts={[
            {
              label: 'Model',
              value: <span dir="auto">{one.model_name}</span>,
              href: href('/catalogue', { q: one.model_name }),
            },
            {
              label: 'From',
              value: (
                <span dir="auto">
                  {one.organization} / {one.project}
                </span>
              ),
            },
            { label: 'Size', value: <Bytes bytes={one.size_bytes} /> },
            { label: 'Tokens', value: <Count n={one.num_tokens} /> },
            { label: 'Layers', value: <Count n={one.num_layers} /> },
            { label: 'Values', value: <code>{schemeOf(one)}</code> },
            { label: 'Downloads', value: <Count n={one.downloads} /> },
            { label: 'Made', value: <Time at={one.created_at} /> },
            { label: 'SHA-256', value: <Code text={one.sha256} label="digest" /> },
          ]}
        />
        <Commands label="Fetch it" ways={waysToFetch(one)} />
      </div>
    </Dialog>
  );
}

export default function CataloguePage() {
  const me = useMe();
  const [q] = useParam('q');
  const [id] = useParam('id');
  const [sort, setSort] = useParam('sort', '-created');
  const list = usePages<PublicArtifact>(
    `${path}?${new URLSearchParams({ q, sort })}`,
    async (cursor, signal) => {
      const page = await api.get(path, { query: { q, sort, limit: 100, cursor }, signal });
      return { rows: page.artifacts, next: page.continuation_token };
    },
    { idOf: (one) => one.artifact_id },
  );
  const open = list.rows?.find((one) => one.artifact_id === id);
  const count = list.rows?.length ?? 0;
  return (
    <Page
      title="Public catalogue"
      state={
        list.rows && (
          <>
            {count.toLocaleString('en-US')}
            {list.hasMore && '+'} {count === 1 && !list.hasMore ? 'artifact' : 'artifacts'} for everybody
          </>
        )
      }
      action={
        me ? undefined : (
          <LinkButton href={href('/login', { next: href('/catalogue') })}>Sign in</LinkButton>
        )
      }
    >
      <FilterBar search="q" placeholder="Find by name, description or tag" />
      <Table
        label="Public artifacts"
        rows={list.rows}
        columns={columns}
        idOf={(one) => one.artifact_id}
        error={list.error}
        onRetry={list.refresh}
        linkOf={(one) =>
          href('/catalogue', { q, sort: sort === '-created' ? '' : sort, id: one.artifact_id })
        }
        sort={sort}
        onSort={setSort}
        empty={
          q === '' ? (
            <Empty command={`curl -s ${api.url(path)}`}>
              Here stand the artifacts that organizations have made public. There is none yet.
            </Empty>
          ) : (
            <Empty action={<Button onClick={() => setParams({ q: null })}>Show all</Button>}>
              No public artifact fits.
            </Empty>
          )
        }
      />
      <Pager shown={count} hasMore={list.hasMore} busy={list.busy} onMore={list.more} />
      {open && <One one={open} onClose={() => setParams({ id: null })} />}
    </Page>
  );
}

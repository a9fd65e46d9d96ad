// One artifact: what it is, who may have it, and what can be done with it.
import { useState } from 'preact/hooks';
import type { PageProps } from '../../areas';
import { api } from '../../api/client';
import { useAction, useQuery } from '../../api/query';
import { mayWrite, useMe } from '../../api/session';
import { href, navigate, useShortcut } from '../../router';
import {
  Badge,
  Button,
  Bytes,
  Code,
  Commands,
  Copy,
  Count,
  counted,
  ErrorBox,
  type Fact,
  Facts,
  formatBytes,
  Menu,
  type MenuItem,
  Page,
  Section,
  Skeleton,
  State,
  Time,
} from '../../ui';
import { changeVisibility, download, onePath } from './change';
import { DropAnywhere } from './DropAnywhere';
import { EditDialog, MoveDialog } from './EditDialogs';
import { LayerFigures } from './Figures';
import { History } from './History';
import { Geometry, Lineage, Preview } from './Inside';
import { DeleteDialog } from './DeleteDialog';
import { ShareDialog } from './ShareDialog';
import { Shares } from './Shares';
import { UploadTray } from './UploadTray';
import { waysToChange, waysToDownload } from './ways';
import { type Artifact, modelOf, schemeOf } from './words';

type Open = '' | 'share' | 'edit' | 'move' | 'delete';

function factsOf(one: Artifact): Fact[] {
  return [
    {
      label: 'Model',
      value: <span dir="auto">{modelOf(one)}</span>,
      href: href('/artifacts', { model: modelOf(one) }),
    },
    { label: 'Tokens', value: <Count n={one.num_tokens} /> },
    { label: 'Layers', value: <Count n={one.num_layers} /> },
    { label: 'Size', value: <Bytes bytes={one.size_bytes} /> },
    { label: 'Values', value: <code>{schemeOf(one)}</code> },
    { label: 'Downloads', value: <Count n={one.downloads} />, note: 'by everybody and by links' },
    {
      label: 'Project',
      value: <span dir="auto">{one.project}</span>,
      href: href('/artifacts', { project: one.project }),
    },
    { label: 'Made', value: <Time at={one.created_at} /> },
    { label: 'Id', value: <Code text={one.artifact_id} /> },
    ...(one.sha256 ? [{ label: 'SHA-256', value: <Code text={one.sha256} label="digest" /> }] : []),
  ];
}

function Words({ one, onEdit }: { one: Artifact; onEdit: (() => void) | null }) {
  return (
    <div class="artifact-words">
      {one.description !== '' && (
        <p dir="auto" class="artifact-description">
          {one.description}
        </p>
      )}
      <p class="tags">
        {one.tags.map((tag) => (
          <a key={tag} href={href('/artifacts', { q: tag })}>
            <Badge>
              <span dir="auto">{tag}</span>
            </Badge>
          </a>
        ))}
        {onEdit && (
          <button type="button" class="link" onClick={onEdit}>
            {one.description === '' && one.tags.length === 0 ? 'Describe it, or tag it' : 'Edit'}
          </button>
        )}
      </p>
    </div>
  );
}

function Visible({ one, writes }: { one: Artifact; writes: boolean }) {
  const { run, busy } = useAction(changeVisibility);
  const isPublic = one.visibility === 'public';
  return (
    <Section
      title="Who may have it"
      action={
        writes &&
        one.status === 'ready' && (
          <Button busy={busy} onClick={() => void run([one], isPublic ? 'private' : 'public')}>
            {isPublic ? 'Make private' : 'Make public'}
          </Button>
        )
      }
    >
      {isPublic ? (
        <p>
          <State state="public" tone="info" /> Everybody. It stands in the{' '}
          <a href={href('/catalogue', { id: one.artifact_id, q: one.name.slice(0, 80) })}>
            catalogue
          </a>
          {one.public_url && (
            <>
              , and at{' '}
              <a href={one.public_url} class="public-url">
                {one.public_url}
              </a>{' '}
              <Copy text={one.public_url} label="the public address" />
            </>
          )}
        </p>
      ) : (
        <p>
          <State state="private" tone="none" /> The members of the organization, its keys, and
          whoever has a link.
        </p>
      )}
    </Section>
  );
}

function Body({ one, writes, onShare }: { one: Artifact; writes: boolean; onShare: () => void }) {
  if (one.status !== 'ready') return <Preview one={one} />;
  return (
    <>
      <Visible one={one} writes={writes} />
      <Shares id={one.artifact_id} writes={writes} onShare={onShare} />
      <Geometry one={one} />
      <LayerFigures key={one.artifact_id} one={one} />
      <Lineage one={one} />
      <Preview one={one} />
      <Section title="Download it">
        <Commands label="Download it" ways={waysToDownload(one)} />
      </Section>
      <Section title="More by command">
        <Commands label="More by command" ways={waysToChange(one)} />
      </Section>
      <History id={one.artifact_id} />
    </>
  );
}

function Dialogs({ one, open, onClose }: { one: Artifact; open: Open; onClose: () => void }) {
  if (open === 'share')
    return <ShareDialog id={one.artifact_id} name={one.name} onClose={onClose} />;
  if (open === 'edit') return <EditDialog one={one} onClose={onClose} />;
  if (open === 'move') return <MoveDialog one={one} onClose={onClose} />;
  if (open !== 'delete') return null;
  const leave = () => navigate(href('/artifacts'));
  return <DeleteDialog all={[one]} onClose={onClose} onDone={leave} />;
}

export default function DetailPage({ params }: PageProps) {
  const me = useMe();
  const id = params['id'] ?? '';
  const {
    data: one,
    error,
    refresh,
  } = useQuery<Artifact>(`/api/v1/artifacts/${id}`, (signal) =>
    api.get(onePath, { path: { id }, signal }),
  );
  const [open, setOpen] = useState<Open>('');
  const fetchIt = useAction(download);
  const writes = Boolean(me && mayWrite(me));
  const isReady = one?.status === 'ready';
  useShortcut('s', 'Share this artifact', writes && isReady ? () => setOpen('share') : null);
  useShortcut('e', 'Edit this artifact', writes && one ? () => setOpen('edit') : null);
  if (!one) {
    return (
      <Page title="Artifact" back={{ href: href('/artifacts'), label: 'Artifacts' }}>
        {error ? <ErrorBox error={error} onRetry={refresh} /> : <Skeleton lines={6} />}
      </Page>
    );
  }
  const items: MenuItem[] = [
    { label: 'Edit name, description, tags', run: () => setOpen('edit') },
    { label: 'Compare with …', href: href('/artifacts/compare', { a: id }) },
    { label: 'Move to another project', run: () => setOpen('move') },
    { label: 'Delete', danger: true, run: () => setOpen('delete') },
  ];
  return (
    <Page
      title={one.name}
      back={{ href: href('/artifacts'), label: 'Artifacts' }}
      state={
        <>
          {formatBytes(one.size_bytes)} · {counted(one.num_tokens, 'token')} ·{' '}
          <State
            state={isReady ? one.visibility : 'unfinished'}
            tone={isReady ? (one.visibility === 'public' ? 'info' : 'none') : 'warn'}
          />
        </>
      }
      more={
        <>
          {writes ? (
            <Menu label={`Change ${one.name}`} button="Change" align="right" items={items} />
          ) : (
            <a class="button plain" href={href('/artifacts/compare', { a: id })}>
              Compare
            </a>
          )}
          {isReady && (
            <Button busy={fetchIt.busy} onClick={() => void fetchIt.run(id)}>
              Download
            </Button>
          )}
        </>
      }
      action={
        writes &&
        isReady && (
          <Button kind="primary" onClick={() => setOpen('share')}>
            Share
          </Button>
        )
      }
    >
      {writes && <DropAnywhere />}
      {writes && <UploadTray />}
      {error && <ErrorBox error={error} onRetry={refresh} />}
      {fetchIt.error && <ErrorBox error={fetchIt.error} />}
      <Words one={one} onEdit={writes ? () => setOpen('edit') : null} />
      <Facts facts={factsOf(one)} />
      <Body one={one} writes={writes} onShare={() => setOpen('share')} />
      <Dialogs one={one} open={open} onClose={() => setOpen('')} />
    </Page>
  );
}

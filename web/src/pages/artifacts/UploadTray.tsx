// What is being uploaded, line by line: how far it is, and what can be done with it. And the ways
// in: a button, and dropping files anywhere on the page.
import { useEffect, useRef, useState } from 'preact/hooks';
import { href, useShortcut } from '../../router';
import { useStore } from '../../store';
import {
  Button,
  Bytes,
  ErrorBox,
  formatBytes,
  counted,
  formatDuration,
  formatPercent,
  LinkButton,
  State,
} from '../../ui';
import { plainName } from './announce';
import { ShareDialog } from './ShareDialog';
import {
  addFiles,
  dismissEnded,
  giveUp,
  goOn,
  pause,
  type Phase,
  showKept,
  type Shown,
  uploads,
} from './uploads';

const words: Record<Phase, string> = {
  waiting: 'waits for its turn',
  reading: 'reading',
  sending: 'sending',
  retrying: 'interrupted, trying again',
  paused: 'paused',
  stopped: 'stopped',
  failed: 'not stored',
  kept: 'unfinished',
  done: 'stored, private',
};
const tones = {
  waiting: 'none',
  reading: 'info',
  sending: 'info',
  retrying: 'warn',
  paused: 'none',
  stopped: 'warn',
  failed: 'bad',
  kept: 'warn',
  done: 'good',
} as const;

function progressWords({ phase, done, bytes, perSecond, known, retries }: Shown): string {
  if (phase === 'done') {
    if (known) return 'The organization had these bytes already; nothing was sent.';
    return retries > 0
      ? `${formatBytes(bytes)}, tried again ${counted(retries, 'time')}`
      : formatBytes(bytes);
  }
  if (phase === 'kept')
    return `${formatPercent(bytes > 0 ? done / bytes : 0)} arrived. Drop the file again to go on.`;
  if (phase === 'waiting' || phase === 'failed') return formatBytes(bytes);
  const speed =
    perSecond > 0
      ? ` · ${formatBytes(perSecond)}/s · ${formatDuration(Math.ceil((bytes - done) / perSecond))} left`
      : '';
  return `${formatBytes(done)} of ${formatBytes(bytes)}${speed}`;
}

function Line({ one, onShare }: { one: Shown; onShare: () => void }) {
  const name = plainName(one.name);
  const part = one.bytes > 0 ? Math.min(1, one.done / one.bytes) : 0;
  const moving = one.phase === 'sending' || one.phase === 'retrying';
  return (
    <li class="upload">
      <span class="upload-name" dir="auto">
        {name}
      </span>
      <State state={one.phase} tone={tones[one.phase]}>
        {words[one.phase]}
      </State>
      <span class="upload-words muted figure">{progressWords(one)}</span>
      <span class="upload-actions">
        {moving && (
          <Button kind="quiet" label={`Pause ${name}`} onClick={() => pause(one.key)}>
            Pause
          </Button>
        )}
        {(one.phase === 'paused' || one.phase === 'stopped') && (
          <Button kind="primary" label={`Go on with ${name}`} onClick={() => goOn(one.key)}>
            Go on
          </Button>
        )}
        {one.phase === 'done' && (
          <Button kind="primary" label={`Share ${name}`} onClick={onShare}>
            Share
          </Button>
        )}
        {one.phase === 'done' && <LinkButton href={href(`/artifacts/${one.id}`)}>Open</LinkButton>}
        <Button
          kind="quiet"
          label={`${one.phase === 'done' || one.phase === 'failed' ? 'Dismiss' : 'Give up'} ${name}`}
          onClick={() => void giveUp(one.key)}
        >
          {one.phase === 'done' || one.phase === 'failed' ? 'Dismiss' : 'Give up'}
        </Button>
      </span>
      {one.phase !== 'done' && one.phase !== 'failed' && one.phase !== 'waiting' && (
        <span
          class={`upload-bar ${one.phase}`}
          role="progressbar"
          aria-label={`${name}: ${words[one.phase]}`}
          aria-valuemin={0}
          aria-valuemax={100}
          aria-valuenow={Math.round(part * 100)}
        >
          <span style={{ transform: `scaleX(${part})` }} />
        </span>
      )}
      {one.error !== undefined && (
        <div class="upload-error">
          <ErrorBox error={one.error} />
        </div>
      )}
    </li>
  );
}

export function UploadTray() {
  const all = useStore(uploads);
  const [shared, share] = useState<Shown | null>(null);
  useEffect(() => void showKept(), []);
  if (all.length === 0) return null;
  const left = all.filter((one) => one.phase !== 'done' && one.phase !== 'failed');
  const ended = all.filter((one) => one.phase === 'done' || one.phase === 'failed');
  const bytes = left.reduce(
    (sum, one) => sum + one.bytes - (one.phase === 'reading' ? 0 : one.done),
    0,
  );
  return (
    <section class="uploads" aria-label="Uploads">
      {(left.length > 1 || ended.length > 1) && (
        <p class="uploads-head muted">
          <span>
            {left.length > 1 && (
              <>
                {counted(left.length, 'upload')}, <Bytes bytes={bytes} /> to go
              </>
            )}
          </span>
          {ended.length > 1 && (
            <Button kind="quiet" onClick={() => void dismissEnded()}>
              Dismiss the {ended.length} that ended
            </Button>
          )}
        </p>
      )}
      <ul>
        {all.map((one) => (
          <Line key={one.key} one={one} onShare={() => share(one)} />
        ))}
      </ul>
      {shared && (
        <ShareDialog id={shared.id} name={plainName(shared.name)} onClose={() => share(null)} />
      )}
    </section>
  );
}

export function UploadButton() {
  const field = useRef<HTMLInputElement>(null);
  const open = useRef(() => field.current?.click());
  useShortcut('c', 'Upload files', open.current);
  return (
    <>
      <Button kind="primary" onClick={open.current}>
        Upload
      </Button>
      <input
        ref={field}
        class="upload-field"
        type="file"
        multiple
        hidden
        aria-label="Files to upload"
        onChange={(event) => {
          void addFiles([...(event.currentTarget.files ?? [])]);
          event.currentTarget.value = '';
        }}
      />
    </>
  );
}

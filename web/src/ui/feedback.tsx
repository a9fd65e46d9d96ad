// What a page says while there is nothing yet, nothing at all, or a refusal.
import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { ApiError, wordsOf } from '../api/error';
import { Command } from './Command';

// What the daemon refused, in its words, and what to do: try again, or wait.
export function ErrorBox({
  error,
  onRetry,
}: {
  error: unknown;
  onRetry?: (() => void) | undefined;
}) {
  const known = error instanceof ApiError ? error : null;
  return (
    <div class="notice bad" role="alert">
      <p>
        <b class="tone-bad">
          {known?.isSilent ? 'No answer' : known?.status === 403 ? 'Not allowed' : 'Refused'}
        </b>{' '}
        {wordsOf(error)}
      </p>
      {known !== null && known.retryAfterS > 0 && <p>Try again in {known.retryAfterS} s.</p>}
      {known !== null && known.isStale && (
        <p>Somebody has changed it since you read it. Read it again before you go on.</p>
      )}
      {known?.requestId ? <p class="muted small">Request {known.requestId}</p> : null}
      {onRetry && (
        <button type="button" class="button plain" onClick={onRetry}>
          Try again
        </button>
      )}
    </div>
  );
}

// Grey lines in the place of what is to come; nothing at all for the first 200 ms.
export function Skeleton({ lines = 3 }: { lines?: number }) {
  const [shown, show] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => show(true), 200);
    return () => clearTimeout(timer);
  }, []);
  return (
    <div class="skeleton" role="status" aria-label="Loading">
      {shown && Array.from({ length: lines }, (_, at) => <span key={at} class="skeleton-line" />)}
    </div>
  );
}

// What a query has read; before that grey lines, and why there is nothing when it was refused.
export function Loaded<T>({
  query,
  lines = 5,
  children,
}: {
  query: { data: T | undefined; error: unknown; refresh: () => void };
  lines?: number;
  children: (data: T) => ComponentChildren;
}) {
  if (query.data !== undefined) return <>{children(query.data)}</>;
  return query.error ? (
    <ErrorBox error={query.error} onRetry={query.refresh} />
  ) : (
    <Skeleton lines={lines} />
  );
}

// An empty list: one sentence on what this is for, the one action, the command that does the same.
export function Empty({
  children,
  action,
  command,
}: {
  children: ComponentChildren;
  action?: ComponentChildren;
  command?: string | string[];
}) {
  return (
    <div class="empty">
      <p>{children}</p>
      {action && <p>{action}</p>}
      {command && (
        <Command
          label="the same on the command line"
          lines={typeof command === 'string' ? [command] : command}
        />
      )}
    </div>
  );
}

// A sentence that stands out, with a tone and what can be done.
export function Notice({
  tone = 'info',
  children,
  action,
}: {
  tone?: 'info' | 'good' | 'warn' | 'bad';
  children: ComponentChildren;
  action?: ComponentChildren;
}) {
  return (
    <div class={`notice ${tone}`}>
      <p>{children}</p>
      {action}
    </div>
  );
}

// "3 new": rows that arrived are counted, and shown when asked for.
export function NewRows({ count, onShow }: { count: number; onShow: () => void }) {
  return (
    <div class="new-rows" role="status">
      {count > 0 && (
        <button type="button" class="button plain" onClick={onShow}>
          {count} new – show
        </button>
      )}
    </div>
  );
}

// What stands under a list that comes in pages.
export function Pager({
  shown,
  total,
  hasMore,
  busy,
  onMore,
}: {
  shown: number;
  total?: number | undefined;
  hasMore: boolean;
  busy: boolean;
  onMore: () => void;
}) {
  // All of it is there to be seen.
  if (!hasMore && (total === undefined || total <= shown)) return null;
  return (
    <p class="pager">
      <span class="muted">
        {shown.toLocaleString('en-US')}
        {total !== undefined && ` of ${total.toLocaleString('en-US')}`}
      </span>
      {hasMore && (
        <button type="button" class="button plain" aria-busy={busy || undefined} onClick={onMore}>
          Show more
        </button>
      )}
    </p>
  );
}

// Deletes artifacts: with a way back while the daemon keeps them, or for good, where the words that
// say so are typed.
import {
  Confirm,
  counted,
  Dialog,
  ErrorBox,
  formatBytes,
  formatDuration,
  Skeleton,
} from '../../ui';
import { deleteAll, deleteForGood } from './change';
import { useLifetime } from './deleted';
import { type Artifact } from './words';

type Row = Pick<Artifact, 'artifact_id' | 'name' | 'size_bytes'>;

interface DialogProps {
  all: Row[];
  onClose: () => void;
  onDone: () => void;
}

function Names({ all }: { all: Row[] }) {
  if (all.length === 1) return null;
  return (
    <ul class="to-delete">
      {all.slice(0, 8).map((row) => (
        <li key={row.artifact_id} dir="auto">
          {row.name}
        </li>
      ))}
      {all.length > 8 && <li>and {all.length - 8} more</li>}
    </ul>
  );
}

const titleOf = (all: Row[]): string =>
  all.length === 1 && all[0] ? `Delete ${all[0].name}` : `Delete ${counted(all.length, 'artifact')}`;
const bytesOf = (all: Row[]): string =>
  formatBytes(all.reduce((sum, row) => sum + row.size_bytes, 0));

export function DeleteForGoodDialog({ all, onClose, onDone }: DialogProps) {
  const one = all.length === 1 ? all[0] : undefined;
  return (
    <Confirm
      title={titleOf(all)}
      typed={one ? one.name.trim().slice(0, 40).trim() || 'delete' : `delete ${all.length}`}
      action="Delete for good"
      onClose={onClose}
      onConfirm={async () => {
        await deleteForGood(all.map((row) => row.artifact_id));
        onDone();
      }}
    >
      <p>
        {bytesOf(all)} go, and every link to {one ? 'it' : 'them'} ends. This cannot be undone.
      </p>
      <Names all={all} />
    </Confirm>
  );
}

export function DeleteDialog(props: DialogProps) {
  const { all, onClose, onDone } = props;
  const lifetime = useLifetime();
  if (lifetime.data === undefined) {
    return (
      <Dialog title={titleOf(all)} onClose={onClose}>
        {lifetime.error ? (
          <ErrorBox error={lifetime.error} onRetry={lifetime.refresh} />
        ) : (
          <Skeleton lines={2} />
        )}
      </Dialog>
    );
  }
  if (lifetime.data === 0) return <DeleteForGoodDialog {...props} />;
  const they = all.length === 1 ? 'it' : 'them';
  return (
    <Confirm
      title={titleOf(all)}
      action="Delete"
      onClose={onClose}
      onConfirm={async () => {
        await deleteAll(all);
        onDone();
      }}
    >
      <p>
        {bytesOf(all)} are free at once, and every link to {they} ends. For{' '}
        {formatDuration(lifetime.data)} you can bring {they} back, as private.
      </p>
      <Names all={all} />
    </Confirm>
  );
}

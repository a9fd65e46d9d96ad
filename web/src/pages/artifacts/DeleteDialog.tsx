// Deletes artifacts for good; the words that say so are typed.
import { Confirm, formatBytes } from '../../ui';
import { deleteAll } from './change';
import { type Artifact, many } from './words';

export function DeleteDialog({
  all,
  onClose,
  onDone,
}: {
  all: Artifact[];
  onClose: () => void;
  onDone: () => void;
}) {
  const one = all.length === 1 ? all[0] : undefined;
  const bytes = all.reduce((sum, row) => sum + row.size_bytes, 0);
  return (
    <Confirm
      title={one ? `Delete ${one.name}` : `Delete ${many(all.length, 'artifact')}`}
      typed={one ? one.name.trim().slice(0, 40) : `delete ${all.length}`}
      action="Delete for good"
      onClose={onClose}
      onConfirm={async () => {
        await deleteAll(all.map((row) => row.artifact_id));
        onDone();
      }}
    >
      <p>
        {formatBytes(bytes)} go, and every link to {one ? 'it' : 'them'} ends. This cannot be
        undone.
      </p>
      {!one && (
        <ul class="to-delete">
          {all.slice(0, 8).map((row) => (
            <li key={row.artifact_id} dir="auto">
              {row.name}
            </li>
          ))}
          {all.length > 8 && <li>and {all.length - 8} more</li>}
        </ul>
      )}
    </Confirm>
  );
}

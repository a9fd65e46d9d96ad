// Chooses one artifact by words.
import { useId, useState } from 'preact/hooks';
import { api } from '../../api/client';
import { useQuery } from '../../api/query';
import { ErrorBox, formatBytes, Skeleton } from '../../ui';
import { listPath } from './change';
import { type Artifact, modelOf } from './words';

export function Picker({ label, onPick }: { label: string; onPick: (id: string) => void }) {
  const [text, setText] = useState('');
  const id = useId();
  const q = text.trim();
  const found = useQuery<Artifact[]>(
    `${listPath}?pick=${q}`,
    async (signal) => (await api.get(listPath, { query: { q, limit: 8 }, signal })).artifacts,
  );
  return (
    <div class="picker">
      <div class="field">
        <label for={id}>{label}</label>
        <input
          id={id}
          type="search"
          value={text}
          placeholder="Find by name, description or tag"
          autocomplete="off"
          maxLength={200}
          onInput={(event) => setText(event.currentTarget.value)}
        />
      </div>
      {found.error && <ErrorBox error={found.error} onRetry={found.refresh} />}
      {!found.data && !found.error && <Skeleton />}
      <ul>
        {found.data?.map((one) => (
          <li key={one.artifact_id}>
            <button type="button" class="pick" onClick={() => onPick(one.artifact_id)}>
              <bdi class="artifact-name">{one.name}</bdi>
              <span class="muted small">
                {modelOf(one)} · {formatBytes(one.size_bytes)}
              </span>
            </button>
          </li>
        ))}
      </ul>
      {found.data?.length === 0 && <p class="muted">No artifact fits.</p>}
    </div>
  );
}

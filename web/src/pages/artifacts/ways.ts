// The same as a page does, as lines to copy.
import { api } from '../../api/client';
import type { Artifact, PublicArtifact } from './words';

const safeFile = (name: string): string => {
  const plain = name
    .replace(/[^\w.-]+/g, '_')
    .replace(/^[._-]+/, '')
    .slice(0, 60);
  return `${plain === '' ? 'artifact' : plain.replace(/\.kv$/, '')}.kv`;
};
const bearer = '-H "Authorization: Bearer $KVCS_API_KEY"';

export function waysToDownload(
  one: Pick<Artifact, 'artifact_id' | 'name'>,
): Record<string, string> {
  const file = safeFile(one.name);
  const path = `/api/v1/artifacts/${one.artifact_id}`;
  return {
    curl: `curl -s ${bearer} ${api.url(path)} \\\n  | jq -r .download_url | xargs curl -o ${file}`,
    CLI: `kvcs download ${one.artifact_id} -o ${file}`,
    Python: [
      'import json, os, urllib.request as web',
      `ask = web.Request("${api.url(path)}",`,
      '                  headers={"Authorization": "Bearer " + os.environ["KVCS_API_KEY"]})',
      'artifact = json.load(web.urlopen(ask))',
      `web.urlretrieve(artifact["download_url"], "${file}")`,
    ].join('\n'),
  };
}

export function waysToFetch(
  one: Pick<PublicArtifact, 'name' | 'public_url'>,
): Record<string, string> {
  const file = safeFile(one.name);
  return {
    curl: `curl -Lo ${file} '${one.public_url}'`,
    'curl, a part': `curl -Lo part.kv '${one.public_url}?tokens=0:256'`,
    Python: `import urllib.request as web\nweb.urlretrieve("${one.public_url}", "${file}")`,
  };
}

export function waysToChange(one: Pick<Artifact, 'artifact_id' | 'name'>): Record<string, string> {
  const path = `/api/v1/artifacts/${one.artifact_id}`;
  const json = '-H "Content-Type: application/json"';
  return {
    'the first 256 tokens': `kvcs download ${one.artifact_id} --tokens 0:256 -o part.kv`,
    'figures of each layer': `kvcs download ${one.artifact_id} -o ${safeFile(one.name)}\nkvcs inspect ${safeFile(one.name)} --stats`,
    share: `kvcs share create ${one.artifact_id} --hours 24 --downloads-max 1`,
    'delete, and take it back': `kvcs delete ${one.artifact_id}\nkvcs restore ${one.artifact_id}`,
    rename: `curl -X PATCH ${bearer} ${json} \\\n  -d '{"name": "a new name"}' ${api.url(path)}`,
  };
}

export const waysToShare = (id: string): Record<string, string> => ({
  CLI: `kvcs share create ${id} --hours 24`,
  curl: `curl -X POST ${bearer} -H "Content-Type: application/json" \\\n  -d '{"expires_in_s": 86400}' ${api.url(`/api/v1/artifacts/${id}/shares`)}`,
});

export const waysToCompare = (a: Artifact, b: Artifact): Record<string, string> => ({
  CLI: `kvcs download ${a.artifact_id} -o a.kv\nkvcs download ${b.artifact_id} -o b.kv\nkvcs compare a.kv b.kv`,
});

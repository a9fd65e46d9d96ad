import type { PageProps } from '../../areas';
import { Begin } from './BeginPage';

export default function SetupPage({ query }: PageProps) {
  return <Begin way="setup" token={query.get('token') ?? ''} />;
}

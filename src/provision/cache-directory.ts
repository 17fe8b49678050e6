import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';

/** Where provisioned programs live: `HDVKIT_CACHE`, else `XDG_CACHE_HOME/hdvkit`, else `~/.cache/hdvkit`. */
export function cacheDirectory(environment: NodeJS.ProcessEnv = process.env): string {
  const { HDVKIT_CACHE, XDG_CACHE_HOME } = environment;
  if (HDVKIT_CACHE !== undefined && HDVKIT_CACHE !== '') return HDVKIT_CACHE;
  if (XDG_CACHE_HOME?.startsWith('/') === true) return join(XDG_CACHE_HOME, 'hdvkit');
  const home = homedir();
  return home === '' || home === '/nonexistent'
    ? join(tmpdir(), 'hdvkit-cache')
    : join(home, '.cache', 'hdvkit');
}

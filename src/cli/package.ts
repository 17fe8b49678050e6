export { packageRoot, packageVersion } from '../daemon/package-version.ts';

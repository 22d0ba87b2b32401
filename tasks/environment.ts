/**
 * The environment of every child: built from an allow-list, so that ambient
 * SOURCE_DATE_EPOCH, UV_*, PIP_*, HATCH_*, PYTHON* or NPM_CONFIG_* settings
 * cannot change a byte of what is built, while the user's index, proxy,
 * certificates and caches still count.
 */

const KEPT = new Set(
  `PATH HOME USERPROFILE APPDATA LOCALAPPDATA SYSTEMROOT COMSPEC PATHEXT TMPDIR TEMP TMP
  HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY http_proxy https_proxy all_proxy no_proxy
  SSL_CERT_FILE SSL_CERT_DIR NODE_EXTRA_CA_CERTS NETRC XDG_CACHE_HOME XDG_CONFIG_HOME XDG_CONFIG_DIRS XDG_DATA_HOME
  UV_DEFAULT_INDEX UV_INDEX UV_INDEX_URL UV_EXTRA_INDEX_URL UV_FIND_LINKS UV_INDEX_STRATEGY UV_KEYRING_PROVIDER
  UV_INSECURE_HOST UV_NATIVE_TLS UV_SYSTEM_CERTS UV_HTTP_TIMEOUT UV_HTTP_CONNECT_TIMEOUT UV_HTTP_RETRIES
  UV_CACHE_DIR UV_OFFLINE UV_CONFIG_FILE UV_PYTHON_INSTALL_DIR UV_PYTHON_INSTALL_MIRROR
  UV_CONCURRENT_DOWNLOADS UV_CONCURRENT_BUILDS UV_CONCURRENT_INSTALLS`.split(/\s+/),
);
const KEPT_PATTERN = /^UV_INDEX_[A-Z0-9_]+_(USERNAME|PASSWORD)$/;

/** Seconds since 1970 that hatchling writes into archives; its own default, stated. */
export const SOURCE_DATE_EPOCH = '1580601600';

/** The environment of a child, from the ambient one and what its plan adds. */
export function childEnvironment(
  ambient: NodeJS.ProcessEnv,
  added: Readonly<Record<string, string>> = {},
): Record<string, string> {
  const kept = Object.entries(ambient).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && (KEPT.has(entry[0]) || KEPT_PATTERN.test(entry[0])),
  );
  return {
    ...Object.fromEntries(kept),
    LANG: 'C.UTF-8',
    LC_ALL: 'C.UTF-8',
    TZ: 'UTC',
    SOURCE_DATE_EPOCH,
    PYTHONDONTWRITEBYTECODE: '1',
    PYTHONHASHSEED: '0',
    UV_NO_PROGRESS: '1',
    ...added,
  };
}

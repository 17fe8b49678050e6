/** First Windows of an export, in words that fit after "needs". Source: the reference pages of the functions. */
export const WINDOWS_10_1809 = 'Windows 10 1809 or Windows Server 2019';
export const WINDOWS_10_2004 = 'Windows 10 2004 or Windows Server 2022';
/** The pages say "Windows 10 2104", which was never released to clients. */
export const WINDOWS_11 = 'Windows 11 or Windows Server 2022';
/** In the current SDK header, without a reference page. */
export const UNDOCUMENTED = 'a newer Windows (the first build that has it is not published)';
/** Bound by hcsshim; absent from the public header. */
export const NEWEST = 'one of the newest builds of Windows (the public header does not declare it)';

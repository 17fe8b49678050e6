/* What the control agent is when it is started for sockets between guest and host: see vsock.c. */

/* Returns the program's exit code, or -1 where the first word is none of its own. */
int vsock_main(int count, char **words);

/* What Docker's client does with npipe:// (go-winio): opens the pipe without showing who it is, writes, reads to the end.
 * pipe_client.exe PIPE, with the request on standard input and the answer on standard output. Only for the tests. */
#include <windows.h>

static int failed(void)
{
    return (int)GetLastError();
}

int main(int count, char **arguments)
{
    static char request[1 << 20], answer[1 << 16];
    HANDLE in = GetStdHandle(STD_INPUT_HANDLE), out = GetStdHandle(STD_OUTPUT_HANDLE);
    DWORD read, filled = 0, done;
    if (count != 2)
        return 64;
    while (filled < sizeof request && ReadFile(in, request + filled, sizeof request - filled, &read, NULL) && read > 0)
        filled += read;
    HANDLE pipe = CreateFileA(arguments[1], GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING,
                              SECURITY_SQOS_PRESENT | SECURITY_ANONYMOUS, NULL);
    if (pipe == INVALID_HANDLE_VALUE)
        return failed();
    if (!WriteFile(pipe, request, filled, &done, NULL) || done != filled)
        return failed();
    while (ReadFile(pipe, answer, sizeof answer, &read, NULL) && read > 0)
        if (!WriteFile(out, answer, read, &done, NULL))
            return failed();
    return GetLastError() == ERROR_BROKEN_PIPE ? 0 : failed();
}

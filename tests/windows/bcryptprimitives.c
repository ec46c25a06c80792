/* bcryptprimitives.dll for Wine 8, which has none: Rust's std takes its random numbers from ProcessPrng alone.
 * Only for the tests: what is released takes Windows' own. */
#include <windows.h>

BOOLEAN NTAPI SystemFunction036(PVOID buffer, ULONG length);

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE buffer, SIZE_T length)
{
    return length <= MAXDWORD && SystemFunction036(buffer, (ULONG)length);
}

/* The command line and the RSDP, from whichever boot protocol brought us here. */
#include "cpu.h"

extern u32 boot_magic, boot_information;

u64 bootinfo_rsdp;
const char *bootinfo_protocol = "plain ELF";
static const char *command_line = "";

static u32 field32(u64 address) { return *(volatile u32 *)address; }
static u64 field64(u64 address) { return *(volatile u64 *)address; }

static void parse_multiboot2(u64 information)
{
    u64 end = information + field32(information);
    u64 tag;
    for (tag = information + 8; tag + 8 <= end && field32(tag) != 0; tag += (field32(tag + 4) + 7) & ~7u) {
        if (field32(tag + 4) < 8)
            return;
        if (field32(tag) == 1)
            command_line = (const char *)(tag + 8);
        if (field32(tag) == 14 || field32(tag) == 15) /* a copy of the ACPI 1 or 2 RSDP */
            bootinfo_rsdp = tag + 8;
    }
}

void bootinfo_parse(void)
{
    u64 information = boot_information;
    switch (boot_magic) {
    case 0x2badb002:
        bootinfo_protocol = "Multiboot 1";
        if (field32(information) & 4)
            command_line = (const char *)(u64)field32(information + 16);
        break;
    case 0x36d76289:
        bootinfo_protocol = "Multiboot 2";
        parse_multiboot2(information);
        break;
    case 0x336ec578:
        if (field32(information) != 0x336ec578)
            break;
        bootinfo_protocol = "PVH";
        if (field64(information + 24))
            command_line = (const char *)field64(information + 24);
        bootinfo_rsdp = field64(information + 32);
        break;
    }
    quiet = option("quiet");
    info("boot: %s, command line \"%s\"\n", bootinfo_protocol, command_line);
}

/* Is this word on the command line? */
bool option(const char *word)
{
    const char *at = command_line;
    while (*at) {
        const char *w = word;
        while (*at == ' ')
            at++;
        while (*w && *at == *w) {
            at++;
            w++;
        }
        if (!*w && (*at == ' ' || !*at))
            return true;
        while (*at && *at != ' ')
            at++;
    }
    return false;
}

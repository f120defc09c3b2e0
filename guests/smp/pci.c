/*
 * Just enough PCI to make a device send a message signalled interrupt (PCI Local Bus 3.0, 6.8.1):
 * configuration mechanism 1, one BAR, the MSI capability.
 */
#include "cpu.h"

#define COMMAND 0x04
#define BAR0 0x10
#define CAPABILITIES 0x34
#define CAPABILITY_MSI 5
#define COMMAND_MEMORY 2
#define COMMAND_MASTER 4 /* an MSI is a memory write of the device, so it must be allowed to write */

static u32 config_read(u32 function, u32 offset)
{
    outl(0xcf8, 0x80000000u | function | (offset & 0xfc));
    return inl(0xcfc);
}

static void config_write(u32 function, u32 offset, u32 value)
{
    outl(0xcf8, 0x80000000u | function | (offset & 0xfc));
    outl(0xcfc, value);
}

/* Devices that raise an interrupt when told to, by vendor and device id. */
static const struct {
    u32 id;
    struct msi_device device;
} known[] = {
    { 0xa51c1234, { "msi-test", 0, 0, 0x00, 0, false } },
    { 0x11e81234, { "edu", 0, 0, 0x60, 0x64, true } }, /* QEMU's teaching device */
};

static bool bar0_setup(struct msi_device *device)
{
    u32 bar = config_read(device->config, BAR0);
    u32 command = config_read(device->config, COMMAND) & 0xffff;

    if (bar & 1)
        return false;
    if ((bar & ~0xfu) == 0) {
        config_write(device->config, BAR0, 0xfeb00000);
        if ((bar & 6) == 4)
            config_write(device->config, BAR0 + 4, 0);
        bar = config_read(device->config, BAR0);
    }
    config_write(device->config, COMMAND, command | COMMAND_MEMORY | COMMAND_MASTER);
    device->bar = bar & ~0xfu;
    return device->bar != 0;
}

/* Searches bus 0; false if there is no device of a kind we know. */
bool pci_find_msi_device(struct msi_device *device)
{
    u32 slot, i;
    for (slot = 0; slot < 32; slot++) {
        u32 id = config_read(slot << 11, 0);
        for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
            if (id != known[i].id)
                continue;
            *device = known[i].device;
            device->config = slot << 11;
            return bar0_setup(device);
        }
    }
    return false;
}

/* Finds the MSI capability, writes where and what to send, and enables it. */
bool pci_program_msi(const struct msi_device *device, u64 address, u32 data)
{
    u32 at = config_read(device->config, CAPABILITIES) & 0xfc;
    u32 hops, header;

    for (hops = 0; at != 0 && hops < 48; hops++) {
        header = config_read(device->config, at);
        if ((header & 0xff) == CAPABILITY_MSI) {
            bool wide = header >> 23 & 1; /* message control bit 7: 64-bit address */
            config_write(device->config, at + 4, (u32)address);
            if (wide)
                config_write(device->config, at + 8, (u32)(address >> 32));
            config_write(device->config, at + (wide ? 12 : 8), data);
            config_write(device->config, at, (header & ~(7u << 20)) | 1u << 16); /* one vector, enabled */
            return true;
        }
        at = header >> 8 & 0xfc;
    }
    return false;
}

void msi_trigger(const struct msi_device *device)
{
    *(volatile u32 *)(device->bar + device->raise_offset) = 1;
}

void msi_acknowledge(const struct msi_device *device)
{
    if (device->needs_acknowledge)
        *(volatile u32 *)(device->bar + device->acknowledge_offset) = 1;
}

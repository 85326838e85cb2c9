/* A Modbus TCP server of libmodbus for the driver tests: 1000 of everything, each register its own address.
   Arguments: the port (0: any), then what a place holds, as h80=00eb (hexadecimal; h, i, c and d are the tables).
   Prints `port N` when it serves. */
#include <modbus/modbus.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int count, char **arguments) {
    modbus_t *bus = modbus_new_tcp("127.0.0.1", count > 1 ? atoi(arguments[1]) : 0);
    modbus_mapping_t *map = modbus_mapping_new(1000, 1000, 1000, 1000);
    int listening = modbus_tcp_listen(bus, 4);
    struct sockaddr_in at;
    socklen_t size = sizeof at;
    getsockname(listening, (struct sockaddr *)&at, &size);
    for (int i = 0; i < 1000; i++) map->tab_registers[i] = map->tab_input_registers[i] = i;
    for (int i = 2; i < count; i++) {
        char table = 0;
        int at = 0;
        unsigned word = 0;
        if (sscanf(arguments[i], "%c%d=%x", &table, &at, &word) != 3 || at < 0 || at > 999) return 2;
        switch (table) {
            case 'h': map->tab_registers[at] = word; break;
            case 'i': map->tab_input_registers[at] = word; break;
            case 'c': map->tab_bits[at] = word; break;
            default: map->tab_input_bits[at] = word;
        }
    }
    printf("port %d\n", ntohs(at.sin_port));
    fflush(stdout);
    for (;;) {
        unsigned char query[MODBUS_TCP_MAX_ADU_LENGTH];
        modbus_tcp_accept(bus, &listening);
        for (int got; (got = modbus_receive(bus, query)) != -1;) modbus_reply(bus, query, got, map);
        modbus_close(bus);
    }
}

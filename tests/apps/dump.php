<?php
// Shows what PHP knows of a request, as `php -S` starts it for every path. `/warning` is a page with a warning of PHP in it.
if ($_SERVER['REQUEST_URI'] === '/warning') {
    ini_set('display_errors', '1');
    header('Content-Type: text/html');
    echo file_get_contents('/srv/none/prices.txt') . 'the rest of the page';
    return;
}
header('Content-Type: application/json');
echo json_encode($_SERVER + ['get' => $_GET]);
